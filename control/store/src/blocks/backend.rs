//! The file as redb reads and writes it: any bytes at any place.

use std::io::{self, ErrorKind};

use super::BLOCK;
use super::file::BlockFile;

/// Blocks read or written in one system call at most.
const RUN: usize = 64;

impl redb::StorageBackend for BlockFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().header.length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.inner();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > inner.header.length) {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "a page lies behind the end",
            ));
        }
        let (mut block, mut within, mut done) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize, 0);
        while done < out.len() {
            let left = out.len() - done;
            let run = (left / BLOCK).min(RUN) as u64;
            let plain = within == 0 && run > 1 && block > 0 && inner.overlay.is_none();
            if plain && block + run <= inner.header.written {
                let bytes = run as usize * BLOCK;
                self.read_blocks(block, &mut out[done..done + bytes])?;
                (block, done) = (block + run, done + bytes);
                continue;
            }
            let content = self.read_block(&inner, block)?;
            let part = left.min(BLOCK - within);
            out[done..done + part].copy_from_slice(&content[within..within + part]);
            (block, within, done) = (block + 1, 0, done + part);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.inner();
        // Blocks behind a shorter end read as zero when the file grows back. They leave the disk once the header that
        // says so is durable.
        let end = length.div_ceil(BLOCK as u64).max(1);
        if end < inner.header.written {
            inner.header.written = end;
            inner.shrunk = true;
        }
        let of_first = length.min(BLOCK as u64) as usize;
        inner.header.first[of_first..].fill(0);
        inner.header.length = length;
        inner.dirty = true;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.inner();
        self.writing(|| self.sync(&mut inner))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        let inner = &mut *inner;
        self.writing(|| {
            let (mut block, mut within) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
            let mut data = data;
            while !data.is_empty() {
                let run = (data.len() / BLOCK).min(RUN);
                let part = if within == 0 && block > 0 && run > 0 {
                    let part = run * BLOCK;
                    self.put(inner, block, &data[..part])?;
                    block += run as u64;
                    part
                } else {
                    let part = data.len().min(BLOCK - within);
                    self.write_part(inner, block, within, &data[..part])?;
                    block += 1;
                    part
                };
                within = 0;
                data = &data[part..];
            }
            Ok(())
        })
    }
}
