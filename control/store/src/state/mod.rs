//! The file of records and audit entries: made, opened, read as a whole, written by batches.

mod audit;
mod commit;
mod file;
mod load;

pub(crate) use file::StateFile;
