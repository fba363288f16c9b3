//! JSON lines, cut into requests: each as large as one may well be, and with every id once.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use serde::Deserialize;

/// Documents of one request, with commas between.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Batch {
    /// Their text.
    pub(super) text: Vec<u8>,
    /// How many there are.
    pub(super) documents: u64,
    /// The lines read up to its end, those without a document included.
    pub(super) lines_end: u64,
    /// The bytes read up to its end.
    pub(super) bytes_end: u64,
}

/// Cuts lines into batches.
pub(super) struct Batches<R> {
    from: R,
    batch_bytes: usize,
    /// What was read and is the first of the next batch.
    held: Option<Line>,
    failed: Option<BadLine>,
    is_over: bool,
    lines: u64,
    bytes: u64,
}

/// A document and where it stood.
struct Line {
    text: Vec<u8>,
    id: String,
    lines_end: u64,
    bytes_end: u64,
}

/// A line that is no document, or could not be read. What came before it was given out.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadLine {
    /// It is no JSON object with an id.
    #[error("line {line}: {error}")]
    NoDocument {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// It is longer than a request may be.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// Counted from 1.
        line: u64,
    },
    /// The file cannot be read.
    #[error("line {line} cannot be read: {error}")]
    Unreadable {
        /// Counted from 1.
        line: u64,
        /// What the system says.
        error: io::Error,
    },
}

/// A line, for its id. Its other fields are only passed over, but have to be JSON.
#[derive(Deserialize)]
struct Document {
    id: serde_json::Value,
}

/// The longest line: the largest document, written as wastefully as can be.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// The most documents of a batch.
const DOCUMENTS_MAX: u64 = 20_000;

impl<R: BufRead> Batches<R> {
    /// Batches of about `batch_bytes`, without the first `skip` lines.
    ///
    /// # Errors
    ///
    /// What the system says if those cannot be read.
    pub(super) fn new(mut from: R, batch_bytes: usize, skip: u64) -> io::Result<Self> {
        let (mut bytes, mut lines) = (0, 0);
        while lines < skip {
            let skipped = from.skip_until(b'\n')?;
            if skipped == 0 {
                break;
            }
            bytes += skipped as u64;
            lines += 1;
        }
        Ok(Self { from, batch_bytes, held: None, failed: None, is_over: false, lines, bytes })
    }

    /// The next line that is not empty.
    fn line(&mut self) -> Result<Option<Line>, BadLine> {
        loop {
            let (mut text, line) = (Vec::new(), self.lines + 1);
            let mut bounded = self.from.by_ref().take(LINE_BYTES_MAX + 1);
            let read = bounded.read_until(b'\n', &mut text);
            let read = read.map_err(|error| BadLine::Unreadable { line, error })?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 > LINE_BYTES_MAX {
                return Err(BadLine::TooLong { line });
            }
            self.lines = line;
            self.bytes += read as u64;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let document = document(&text);
            let document = document.map_err(|error| BadLine::NoDocument { line, error })?;
            text.truncate(text.trim_ascii_end().len());
            let (id, bytes_end) = (document.id.to_string(), self.bytes);
            return Ok(Some(Line { text, id, lines_end: line, bytes_end }));
        }
    }

    /// Fills a batch up to its size, to an id that is in it already, or to a line that is none.
    fn fill(&mut self) -> Batch {
        let (mut batch, mut ids) = (Batch::default(), BTreeSet::new());
        loop {
            let line = match self.held.take().map_or_else(|| self.line(), |line| Ok(Some(line))) {
                Ok(Some(line)) => line,
                Ok(None) => return batch,
                Err(failed) => {
                    self.is_over = true;
                    self.failed = Some(failed);
                    return batch;
                }
            };
            let full = batch.text.len() + line.text.len() > self.batch_bytes;
            let full = full || batch.documents == DOCUMENTS_MAX;
            if batch.documents > 0 && (full || ids.contains(&line.id)) {
                self.held = Some(line);
                return batch;
            }
            if batch.documents > 0 {
                batch.text.push(b',');
            }
            batch.text.extend_from_slice(&line.text);
            batch.documents += 1;
            (batch.lines_end, batch.bytes_end) = (line.lines_end, line.bytes_end);
            ids.insert(line.id);
        }
    }
}

/// The document on a line.
fn document(line: &[u8]) -> Result<Document, serde_json::Error> {
    // A derived parser would take an array for an object, field by field.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(serde::de::Error::custom("it is not a JSON object"));
    }
    serde_json::from_slice(line)
}

impl<R: BufRead> Iterator for Batches<R> {
    type Item = Result<Batch, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.is_over {
            let batch = self.fill();
            if batch.documents > 0 {
                return Some(Ok(batch));
            }
        }
        self.failed.take().map(Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: &str, batch_bytes: usize, skip: u64) -> Vec<Result<(String, u64), String>> {
        let text_of = |batch: Batch| (String::from_utf8(batch.text).unwrap(), batch.lines_end);
        let one =
            |batch: Result<Batch, BadLine>| batch.map(text_of).map_err(|failed| failed.to_string());
        Batches::new(text.as_bytes(), batch_bytes, skip).unwrap().map(one).collect()
    }

    fn batch(text: &str, lines_end: u64) -> (String, u64) {
        (text.to_owned(), lines_end)
    }

    #[test]
    fn a_batch_ends_where_it_is_full_or_an_id_comes_back() {
        let text = "{\"id\":1}\n\n {\"id\":2} \r\n{\"id\":1,\"a\":2}\n{\"id\":\"1\"}";
        let expected =
            [Ok(batch(r#"{"id":1}, {"id":2}"#, 3)), Ok(batch(r#"{"id":1,"a":2},{"id":"1"}"#, 5))];
        assert_eq!(batches(text, 1_000, 0), expected);
        assert_eq!(batches(text, 1, 0).len(), 4, "a line larger than a batch is one by itself");
        assert_eq!(batches(text, 1_000, 3), [expected[1].clone()]);
        assert_eq!(batches(text, 1_000, 99), []);
        assert_eq!(batches("", 1_000, 0), []);
    }

    #[test]
    fn what_stands_before_a_bad_line_is_given_out_first() {
        for bad in ["{", "[1]", "{\"a\":1}", "{\"id\":1}}", "x", "{\"id\":1,\"id\":2}"] {
            let all = batches(&format!("{{\"id\":7}}\n{bad}\n{{\"id\":8}}"), 1_000, 0);
            assert_eq!(all[0], Ok(batch(r#"{"id":7}"#, 1)), "{bad}");
            assert!(all[1].as_ref().unwrap_err().starts_with("line 2: "), "{all:?}");
            assert_eq!(all.len(), 2, "nothing comes after a bad line");
        }
    }
}
