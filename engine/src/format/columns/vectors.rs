//! Vectors of one page: dense ones where they lie, sparse ones taken apart.
//!
//! # Bytes
//!
//! ```text
//! dense    zeros up to a multiple of 64 bytes from the page's beginning | norms of 4 bytes |
//!          components of 4, 2 or 1 bytes
//! sparse   counts (packed) | dimensions (packed) | weights of 2 bytes
//! ```
//!
//! Both stand without gaps for nulls: [`Presence::slot`](super::presence::Presence::slot) says where
//! that of a row is.

use crate::base::blob::Blob;
use crate::base::limits;
use crate::base::value::{Element, Half, Sparse, Vector, VectorType};
use crate::format::columns::pack;
use crate::format::frame::Damage;
use crate::format::reader::Reader;

/// Vectors of one length, in the bytes they came in: a scan reads them where they lie.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Vectors {
    dimensions: usize,
    element: Element,
    norms: Blob,
    components: Blob,
}

/// Components of dense vectors behind each other, each as it was written, little-endian.
#[derive(Clone, Copy, Debug)]
pub enum Components<'a> {
    /// 32-bit floats.
    F32(&'a [[u8; 4]]),
    /// 16-bit floats.
    F16(&'a [[u8; 2]]),
    /// Signed integers.
    I8(&'a [[u8; 1]]),
}

/// Where the norms of a page of vectors begin: at a multiple of this many bytes.
const ALIGNMENT: usize = 64;

impl Vectors {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.norms.len() / 4
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.norms.is_empty()
    }

    /// How many components each has.
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The components of all, vector behind vector.
    pub fn components(&self) -> Components<'_> {
        let bytes = self.components.as_slice();
        match self.element {
            Element::F32 => Components::F32(bytes.as_chunks::<4>().0),
            Element::F16 => Components::F16(bytes.as_chunks::<2>().0),
            Element::I8 => Components::I8(bytes.as_chunks::<1>().0),
        }
    }

    /// The components of one; none if there is no such vector.
    pub fn at(&self, slot: usize) -> Components<'_> {
        let start = slot * self.dimensions;
        let stretch = start..start + self.dimensions;
        match self.components() {
            Components::F32(all) => Components::F32(all.get(stretch).unwrap_or_default()),
            Components::F16(all) => Components::F16(all.get(stretch).unwrap_or_default()),
            Components::I8(all) => Components::I8(all.get(stretch).unwrap_or_default()),
        }
    }

    /// The Euclidean length of each.
    pub fn norms(&self) -> impl ExactSizeIterator<Item = f32> + Clone {
        self.norms.as_slice().as_chunks::<4>().0.iter().map(|norm| f32::from_le_bytes(*norm))
    }

    /// The vector at this place; `None` if there is none or a component is not finite.
    pub fn vector(&self, slot: usize) -> Option<Vector> {
        if slot >= self.len() {
            return None;
        }
        let components: Option<Vec<f32>> = match self.at(slot) {
            Components::F32(all) => Some(all.iter().map(|x| f32::from_le_bytes(*x)).collect()),
            Components::F16(all) => all
                .iter()
                .map(|x| Half::from_bits(u16::from_le_bytes(*x)).map(Half::number))
                .collect(),
            Components::I8(all) => {
                Some(all.iter().map(|x| f32::from(i8::from_le_bytes(*x))).collect())
            }
        };
        components.and_then(Vector::new)
    }

    pub(super) fn read(
        t: VectorType,
        from: &mut Reader<'_>,
        count: usize,
        bytes: &Blob,
    ) -> Result<Self, Damage> {
        let short = Damage::Content("it ends before its vectors do");
        let dimensions = t.dimensions as usize;
        let read = bytes.len() - from.left();
        let norms = read.next_multiple_of(ALIGNMENT);
        let components = norms + 4 * count;
        let vector_bytes =
            dimensions.checked_mul(t.element.bytes()).and_then(|bytes| bytes.checked_mul(count));
        let end = vector_bytes.and_then(|bytes| bytes.checked_add(components)).ok_or(short)?;
        from.take(end - read)?;
        let norms = bytes.slice(norms, components).ok_or(short)?;
        let components = bytes.slice(components, end).ok_or(short)?;
        Ok(Self { dimensions, element: t.element, norms, components })
    }
}

/// Dense vectors being gathered into a page.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct GatheredVectors {
    element: Element,
    norms: Vec<u8>,
    components: Vec<u8>,
}

impl GatheredVectors {
    pub(super) const fn new(element: Element) -> Self {
        Self { element, norms: Vec::new(), components: Vec::new() }
    }

    /// Adds one, and says how many bytes it takes.
    pub(super) fn push(&mut self, vector: &Vector) -> usize {
        let all = vector.components();
        let squares = all.iter().map(|x| f64::from(*x) * f64::from(*x));
        let norm = squares.sum::<f64>().sqrt().min(f64::from(f32::MAX)) as f32;
        self.norms.extend_from_slice(&norm.to_le_bytes());
        let half = |x: &f32| Half::nearest(*x).expect("S1: it was rounded when it came").bits();
        match self.element {
            Element::F32 => self.components.extend(all.iter().flat_map(|x| x.to_le_bytes())),
            Element::F16 => self.components.extend(all.iter().flat_map(|x| half(x).to_le_bytes())),
            Element::I8 => {
                self.components.extend(all.iter().flat_map(|x| (*x as i8).to_le_bytes()));
            }
        }
        all.len() * self.element.bytes()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend_from_slice(&self.norms);
        out.extend_from_slice(&self.components);
    }
}

/// Sparse vectors: the weights of all behind each other, and where each vector's end.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sparses {
    ends: Vec<u32>,
    weights: Vec<(u32, Half)>,
}

/// Weights of all vectors of a page together: those of a page that was not full, and of one more.
const WEIGHTS_MAX: usize = limits::PAGE_BYTES + limits::SPARSE_DIMENSIONS_MAX;

impl Sparses {
    /// The weights of the vector at this place, by ascending dimensions; none if there is no such
    /// vector.
    pub fn weights(&self, slot: usize) -> &[(u32, Half)] {
        let start = slot.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let stretch = start.zip(self.ends.get(slot).copied());
        stretch
            .and_then(|(start, end)| self.weights.get(start as usize..end as usize))
            .unwrap_or_default()
    }

    /// The vector at this place; `None` if there is none.
    pub fn vector(&self, slot: usize) -> Option<Sparse> {
        self.ends.get(slot).and_then(|_| Sparse::new(self.weights(slot)))
    }

    pub(super) const fn new() -> Self {
        Self { ends: Vec::new(), weights: Vec::new() }
    }

    /// Adds one, and says about how many bytes it takes.
    pub(super) fn push(&mut self, sparse: &Sparse) -> usize {
        self.weights.extend_from_slice(sparse.weights());
        self.ends.push(self.weights.len() as u32);
        1 + 6 * sparse.weights().len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let counts = (0..self.ends.len()).map(|slot| self.weights(slot).len() as u64);
        pack::write(out, 0, counts);
        pack::write(out, 0, self.weights.iter().map(|(dimension, _)| u64::from(*dimension)));
        out.extend(self.weights.iter().flat_map(|(_, weight)| weight.bits().to_le_bytes()));
    }

    pub(super) fn read(from: &mut Reader<'_>, count: usize) -> Result<Self, Damage> {
        let ends = read_ends(from, count, WEIGHTS_MAX)?;
        let all = ends.last().map_or(0, |end| *end as usize);
        let dimensions = pack::read(from, all, |at| u32::try_from(at).unwrap_or(u32::MAX))?;
        let weights = from.items::<2>(all)?.iter();
        let weights = weights.map(|bytes| Half::from_bits(u16::from_le_bytes(*bytes)));
        let weights: Option<Vec<_>> =
            dimensions.into_iter().zip(weights).map(|(at, weight)| Some((at, weight?))).collect();
        let weights = weights.ok_or(Damage::Content("it holds a weight that is no number"))?;
        let sparses = Self { ends, weights };
        let ascend = |slot| sparses.weights(slot).is_sorted_by(|a, b| a.0 < b.0);
        let fits = (0..count).all(ascend);
        fits.then_some(sparses).ok_or(Damage::Content("its sparse vectors are out of order"))
    }
}

/// Reads packed counts and adds them up: where each of `count` stretches ends. All together have at
/// most `most` items.
pub(super) fn read_ends(
    from: &mut Reader<'_>,
    count: usize,
    most: usize,
) -> Result<Vec<u32>, Damage> {
    let too_long = Damage::Content("its values are too long");
    let counts = pack::read(from, count, |items| items)?;
    let mut end = 0_u64;
    let mut ends = Vec::with_capacity(counts.len());
    for items in counts {
        end = end.checked_add(items).filter(|end| *end <= most as u64).ok_or(too_long)?;
        ends.push(end as u32);
    }
    Ok(ends)
}
