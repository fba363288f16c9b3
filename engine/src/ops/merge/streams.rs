//! Sorted blocks of several inputs, read in windows and merged by key.

use std::collections::VecDeque;

use crate::format::blocks::{Block, BlockRef};
use crate::format::frame::Damage;

/// One stream of entries for each input.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The key that came last.
    last: Option<Vec<u8>>,
}

/// The entries of one input.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Stream {
    /// The first block that is not here yet.
    next: usize,
    /// Blocks that are here and not read to their end.
    held: VecDeque<Block>,
    /// The next entry of the first of them.
    at: usize,
}

/// The entries of all inputs under one key.
pub(super) struct Group {
    pub(super) key: Vec<u8>,
    /// Which input says what, in the order of the inputs.
    pub(super) values: Vec<(usize, Vec<u8>)>,
}

impl Streams {
    pub(super) fn new(inputs: usize) -> Self {
        Self { streams: vec![Stream::default(); inputs], last: None }
    }

    /// The blocks to read next, so that every stream has its share of the window.
    pub(super) fn wanted<'a>(
        &self,
        blocks: impl Fn(usize) -> &'a [BlockRef],
        window_bytes: usize,
    ) -> Vec<(usize, &'a BlockRef)> {
        let share = window_bytes / self.streams.len().max(1);
        let mut wanted = Vec::new();
        for (input, stream) in self.streams.iter().enumerate() {
            let mut bytes = stream.held.iter().map(Block::bytes).sum::<usize>();
            let rest = blocks(input)[stream.next..].iter().take_while(|block| {
                let first = bytes == 0;
                bytes += block.extent.bytes as usize;
                first || bytes <= share
            });
            wanted.extend(rest.map(|block| (input, block)));
        }
        wanted
    }

    /// Which block of an input comes next.
    pub(super) fn next_block(&self, input: usize) -> usize {
        self.streams[input].next
    }

    /// Takes the next block of an input.
    pub(super) fn take(&mut self, input: usize, block: Block) {
        let stream = &mut self.streams[input];
        stream.next += 1;
        stream.held.push_back(block);
    }

    /// The next key; `None` if a stream has to be read on first, or all are at their end. `blocks` says
    /// how many an input has in all.
    ///
    /// # Errors
    ///
    /// [`Damage`], and the input it is in, if its keys are out of order.
    pub(super) fn pop(
        &mut self,
        blocks: impl Fn(usize) -> usize,
    ) -> Result<Option<Group>, (usize, Damage)> {
        let mut streams = self.streams.iter().enumerate();
        if streams.any(|(input, stream)| stream.held.is_empty() && stream.next < blocks(input)) {
            return Ok(None);
        }
        let keys = self.streams.iter().filter_map(Stream::peek).map(|(key, _)| key);
        let Some(key) = keys.min().map(<[u8]>::to_vec) else { return Ok(None) };
        let mut values = Vec::new();
        for (input, stream) in self.streams.iter_mut().enumerate() {
            let same = stream.peek().filter(|(found, _)| *found == key);
            if let Some(value) = same.map(|(_, value)| value.to_vec()) {
                values.push((input, value));
                stream.advance();
            }
        }
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            let input = values.first().map_or(0, |(input, _)| *input);
            return Err((input, Damage::Content("B1: its blocks are out of order")));
        }
        self.last = Some(key.clone());
        Ok(Some(Group { key, values }))
    }
}

impl Stream {
    fn peek(&self) -> Option<(&[u8], &[u8])> {
        self.held.front()?.entry(self.at)
    }

    fn advance(&mut self) {
        self.at += 1;
        if self.peek().is_none() {
            self.held.pop_front();
            self.at = 0;
        }
    }
}
