//! Every back end that the CPU has, forced in turn.

mod agreement;
mod cases;
mod forgery;
#[cfg(unix)]
mod guard;
mod macs;
mod opening;
mod packet;
mod sealing;
