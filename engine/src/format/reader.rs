//! Takes hostile bytes apart, front to back. Nothing is read past the end, nothing panics.

use crate::format::frame::Damage;

/// What is left of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: Damage = Damage::Content("it ends before its content does");

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `count` items of `N` bytes each.
    pub(crate) fn items<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], Damage> {
        let bytes = count.checked_mul(N).ok_or(SHORT)?;
        Ok(self.take(bytes)?.as_chunks::<N>().0)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damage> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.items::<4>(1)?[0]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.items::<8>(1)?[0]))
    }

    /// How many bytes are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// That nothing is left.
    pub(crate) fn end(self) -> Result<(), Damage> {
        let nothing = self.rest.is_empty();
        nothing.then_some(()).ok_or(Damage::Content("it goes on after its content"))
    }
}
