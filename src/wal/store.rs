//! Decoded changes on their way from the reorder buffer to the logs, in memory, and in a file beyond a limit.
//!
//! Invariant: what is read is what was added, in that order. Decoding runs inside of a transaction that the server rolls back, so this is neither
//! memory nor a file of a transaction. The file has no name, so it goes with the process.
//! Called by the output plugin (adds) and by apply (reads).

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// Words in memory beyond which a store goes to disk.
const MOST: usize = 4 << 20;
/// Where the server has its temporary files, and removes what a crash has left. Source: storage/file/fd.c.
const DIRECTORY: &str = "base/pgsql_tmp";

/// What happened to one row.
pub struct Change<'a> {
    /// Where its record begins in WAL.
    pub lsn: u64,
    pub source: u32,
    /// Which row type the images have: a number of the plugin's.
    pub shape: u32,
    /// Images of the row before and after, words of minimal tuples; neither means that all rows may have changed.
    pub old: &'a [u64],
    pub new: &'a [u64],
}

/// A transaction that has committed.
#[derive(Debug, Clone, Copy)]
pub struct Transaction {
    pub xid: u32,
    /// When it committed, in the server's calendar.
    pub at: i64,
    /// How many of the changes are its own.
    pub changes: usize,
}

#[derive(Default)]
pub struct Store {
    words: Vec<u64>,
    file: Option<BufWriter<File>>,
    size: usize,
    pub transactions: Vec<Transaction>,
    /// Relations that have changed.
    pub sources: BTreeSet<u32>,
    open: usize,
}

const HEAD: usize = 4;

impl Store {
    pub fn add(&mut self, change: &Change) -> std::io::Result<()> {
        let source = u64::from(change.source) | u64::from(change.shape) << 32;
        self.words.extend([change.lsn, source, change.old.len() as u64, change.new.len() as u64]);
        self.words.extend_from_slice(change.old);
        self.words.extend_from_slice(change.new);
        self.size += HEAD + change.old.len() + change.new.len();
        self.open += 1;
        self.sources.insert(change.source);
        if self.words.len() > MOST {
            if self.file.is_none() {
                self.file = Some(BufWriter::new(unnamed()?));
            }
            if let Some(file) = &mut self.file {
                file.write_all(bytes(&self.words))?;
            }
            self.words.clear();
        }
        Ok(())
    }

    /// The changes since the last call are those of one transaction.
    pub fn commit(&mut self, xid: u32, at: i64) {
        if self.open > 0 {
            self.transactions.push(Transaction { xid, at, changes: self.open });
            self.open = 0;
        }
    }

    /// Words that the changes take.
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Shows all changes, each with the number of its transaction.
    pub fn each(&mut self, mut show: impl FnMut(usize, &Change)) -> std::io::Result<()> {
        let mut from = Source { memory: &self.words, file: None };
        if let Some(file) = &mut self.file {
            file.flush()?;
            let file = file.get_mut();
            let size = file.seek(SeekFrom::End(0))? as usize / 8;
            file.seek(SeekFrom::Start(0))?;
            from.file = Some((BufReader::new(file), size));
        }
        let mut buffer = Vec::new();
        for (number, transaction) in self.transactions.iter().enumerate() {
            for _ in 0..transaction.changes {
                let mut head = [0u64; HEAD];
                from.read(&mut head)?;
                let [lsn, source, old, new] = head;
                buffer.resize((old + new) as usize, 0);
                from.read(&mut buffer)?;
                let (old, new) = buffer.split_at(old as usize);
                show(number, &Change { lsn, source: source as u32, shape: (source >> 32) as u32, old, new });
            }
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        *self = Store { words: std::mem::take(&mut self.words), ..Store::default() };
        self.words.clear();
        if self.words.capacity() > MOST {
            self.words = Vec::new();
        }
    }
}

/// First the file, then what is in memory.
struct Source<'a> {
    memory: &'a [u64],
    file: Option<(BufReader<&'a mut File>, usize)>,
}

impl Source<'_> {
    fn read(&mut self, to: &mut [u64]) -> std::io::Result<()> {
        match &mut self.file {
            Some((file, left)) if *left > 0 => {
                // A change is never in both: the file ends with one.
                *left = left.saturating_sub(to.len());
                file.read_exact(bytes_mut(to))
            }
            _ => {
                let (now, rest) = self.memory.split_at_checked(to.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
                to.copy_from_slice(now);
                self.memory = rest;
                Ok(())
            }
        }
    }
}

fn unnamed() -> std::io::Result<File> {
    fs::create_dir_all(DIRECTORY)?;
    let path = format!("{DIRECTORY}/pgsql_tmp{}.wal", std::process::id());
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn bytes(words: &[u64]) -> &[u8] {
    // SAFETY: any word is eight bytes.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

fn bytes_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: any eight bytes are a word.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}
