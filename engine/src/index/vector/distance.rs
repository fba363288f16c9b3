//! How far vectors are from one, at the speed of memory.
//!
//! A vector is compared as it lies in a page: floats of 32 or 16 bits or small integers, little-endian,
//! at any alignment; each component is widened to 32 bits, which is exact. Sums run
//! in 32 lanes and are folded in one fixed order, so that a distance has the same bits on every
//! processor, whichever instructions computed it and whether the vector lies in a page or in memory.
//! Nothing is fused: a fused multiplication rounds once where others round twice.
//!
//! # Invariants
//!
//! - **D1** A distance depends on the metric and the two vectors alone, bit for bit.
//! - **D2** A distance is finite. Sums beyond 32 bits are done again in 64 and held to the largest
//!   number there is.

#![allow(unsafe_code)] // Instructions beyond the target's need it; see `Probe::new`.

use std::sync::Arc;

use crate::base::host::Simd;
use crate::base::value::Half;
use crate::format::columns::Components;
use crate::format::schema::Metric;

/// Sums that run side by side: two registers of 512 bits, enough to hide the time one addition takes.
const LANES: usize = 32;

/// A vector to which others are compared.
#[derive(Clone, Debug)]
pub struct Probe {
    metric: Metric,
    components: Arc<[f32]>,
    /// The sum of its squares, as the lanes add them.
    squares: f32,
    simd: Simd,
}

impl Probe {
    /// Compares to `components` by `metric`, with the instructions in `simd`.
    ///
    /// # Panics
    ///
    /// If the processor lacks the instructions: whoever hands them in asked it.
    pub fn new(metric: Metric, components: impl Into<Arc<[f32]>>, simd: Simd) -> Self {
        assert!(simd.is_supported(), "the processor lacks {simd:?}, which the driver promised");
        let components = components.into();
        let squares = sums::<true, f32>(&components, &components).1;
        Self { metric, components, squares, simd }
    }

    /// How many components the vectors have.
    pub fn dimensions(&self) -> usize {
        self.components.len()
    }

    /// How far one vector is.
    ///
    /// # Panics
    ///
    /// If it has another number of components.
    pub fn distance(&self, components: &[f32]) -> f32 {
        assert_eq!(components.len(), self.dimensions(), "vectors of one space are compared");
        let mut distance = [0.0];
        self.scan(components, &mut distance);
        distance[0]
    }

    /// How far each of the vectors in `rows` is, which lie there one behind the other.
    ///
    /// # Panics
    ///
    /// If `rows` holds not exactly one vector for each of the `distances`.
    pub fn distances(&self, rows: Components<'_>, distances: &mut [f32]) {
        match rows {
            Components::F32(rows) => self.scan(rows, distances),
            Components::F16(rows) => self.scan(rows, distances),
            Components::I8(rows) => self.scan(rows, distances),
        }
    }

    fn scan<C: Component>(&self, rows: &[C], distances: &mut [f32]) {
        let components = distances.len() * self.dimensions();
        assert_eq!(rows.len(), components, "as many vectors as distances");
        match self.simd {
            Simd::Scalar => self.scan_lanes(rows, distances),
            // SAFETY: `new` asserted that the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { self.scan_avx2(rows, distances) },
            // SAFETY: `new` asserted that the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { self.scan_avx512(rows, distances) },
            #[cfg(not(target_arch = "x86_64"))]
            Simd::Avx2 | Simd::Avx512 => self.scan_lanes(rows, distances),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn scan_avx2<C: Component>(&self, rows: &[C], distances: &mut [f32]) {
        self.scan_lanes(rows, distances);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    fn scan_avx512<C: Component>(&self, rows: &[C], distances: &mut [f32]) {
        self.scan_lanes(rows, distances);
    }

    /// The one implementation, compiled for each set of instructions.
    #[inline(always)]
    #[allow(clippy::inline_always)] // Not inlined, it would be compiled for the target's only.
    fn scan_lanes<C: Component>(&self, rows: &[C], distances: &mut [f32]) {
        let rows = rows.chunks_exact(self.components.len().max(1));
        match self.metric {
            Metric::Cosine => {
                for (row, distance) in rows.zip(distances) {
                    let (dot, squares) = sums::<true, C>(row, &self.components);
                    *distance = self.cosine(row, dot, squares);
                }
            }
            Metric::EuclideanSquared => {
                for (row, distance) in rows.zip(distances) {
                    *distance = squared_differences(row, &self.components);
                    if !distance.is_finite() {
                        *distance = self.in_64_bits(row);
                    }
                }
            }
            Metric::Dot => {
                for (row, distance) in rows.zip(distances) {
                    *distance = 0.0 - sums::<false, C>(row, &self.components).0;
                    if !distance.is_finite() {
                        *distance = self.in_64_bits(row);
                    }
                }
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // As above.
    fn cosine<C: Component>(&self, row: &[C], dot: f32, squares: f32) -> f32 {
        // Outside of this range the sum of a vector's squares has lost digits, or all of them.
        let good = 1e-30..1e30;
        if good.contains(&squares) && good.contains(&self.squares) {
            (1.0 - dot / (squares.sqrt() * self.squares.sqrt())).clamp(0.0, 2.0)
        } else {
            self.in_64_bits(row)
        }
    }

    /// The distance in numbers that hold every product of two 32-bit floats (D2).
    #[cold]
    fn in_64_bits<C: Component>(&self, row: &[C]) -> f32 {
        let pairs = || row.iter().zip(&*self.components);
        let pairs = || pairs().map(|(x, y)| (f64::from(x.number()), f64::from(*y)));
        let dot: f64 = pairs().map(|(x, y)| x * y).sum();
        let distance = match self.metric {
            Metric::EuclideanSquared => pairs().map(|(x, y)| (x - y) * (x - y)).sum(),
            Metric::Dot => -dot,
            Metric::Cosine => {
                let xx: f64 = pairs().map(|(x, _)| x * x).sum();
                let yy: f64 = pairs().map(|(_, y)| y * y).sum();
                let lengths = xx.sqrt() * yy.sqrt();
                // Nothing is like a vector without a direction.
                let similarity = if lengths == 0.0 { 0.0 } else { dot / lengths };
                (1.0 - similarity).clamp(0.0, 2.0)
            }
        };
        // Adding zero makes zero positive: it has one sign, as everywhere.
        (distance as f32).clamp(f32::MIN, f32::MAX) + 0.0
    }
}

/// A component where it lies.
trait Component: Copy {
    /// The component 0.
    const ZERO: Self;

    fn number(self) -> f32;
}

impl Component for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    #[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
    fn number(self) -> f32 {
        self
    }
}

impl Component for [u8; 4] {
    const ZERO: Self = [0; 4];

    #[inline(always)]
    #[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
    fn number(self) -> f32 {
        f32::from_le_bytes(self)
    }
}

impl Component for [u8; 2] {
    const ZERO: Self = [0; 2];

    #[inline(always)]
    #[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
    fn number(self) -> f32 {
        Half::number_of(u16::from_le_bytes(self))
    }
}

impl Component for [u8; 1] {
    const ZERO: Self = [0; 1];

    #[inline(always)]
    #[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
    fn number(self) -> f32 {
        f32::from(i8::from_le_bytes(self))
    }
}

/// The dot product, and the sum of the row's squares if `SQUARES`.
#[inline(always)]
#[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
fn sums<const SQUARES: bool, C: Component>(row: &[C], probe: &[f32]) -> (f32, f32) {
    let (mut dot, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for_lanes(row, probe, |x, y| {
        for lane in 0..LANES {
            let x = x[lane].number();
            dot[lane] += x * y[lane];
            if SQUARES {
                squares[lane] += x * x;
            }
        }
    });
    (fold(dot), if SQUARES { fold(squares) } else { 0.0 })
}

/// The sum of squared differences, taken directly: the detour over dot products loses the digits in
/// which near neighbours differ.
#[inline(always)]
#[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
fn squared_differences<C: Component>(row: &[C], probe: &[f32]) -> f32 {
    let mut sum = [0.0; LANES];
    for_lanes(row, probe, |x, y| {
        for lane in 0..LANES {
            let difference = x[lane].number() - y[lane];
            sum[lane] += difference * difference;
        }
    });
    fold(sum)
}

/// Hands out the components of two vectors, as many as there are lanes at a time. The last are filled
/// up with zeros, which add nothing to any sum.
#[inline(always)]
#[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
fn for_lanes<C: Component>(
    row: &[C],
    probe: &[f32],
    mut each: impl FnMut(&[C; LANES], &[f32; LANES]),
) {
    let (row, row_rest) = row.as_chunks::<LANES>();
    let (probe, probe_rest) = probe.as_chunks::<LANES>();
    for (x, y) in row.iter().zip(probe) {
        each(x, y);
    }
    if !row_rest.is_empty() {
        let (mut x, mut y) = ([C::ZERO; LANES], [0.0; LANES]);
        x[..row_rest.len()].copy_from_slice(row_rest);
        y[..probe_rest.len()].copy_from_slice(probe_rest);
        each(&x, &y);
    }
}

/// The sum of the lanes: halves are added until one is left.
#[inline(always)]
#[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
fn fold(lanes: [f32; LANES]) -> f32 {
    let sixteen: [f32; 16] = halved(&lanes);
    let eight: [f32; 8] = halved(&sixteen);
    let four: [f32; 4] = halved(&eight);
    let [first, second] = halved(&four);
    first + second
}

#[inline(always)]
#[allow(clippy::inline_always)] // As in `Probe::scan_lanes`.
fn halved<const HALF: usize>(lanes: &[f32]) -> [f32; HALF] {
    let mut halves = [0.0; HALF];
    for lane in 0..HALF {
        halves[lane] = lanes[lane] + lanes[lane + HALF];
    }
    halves
}

impl Simd {
    /// Whether this processor has these instructions.
    #[cfg(target_arch = "x86_64")]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
        }
    }

    /// Whether this processor has these instructions.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_supported(self) -> bool {
        self == Self::Scalar
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // These results are exact.
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Simd; 3] = [Simd::Scalar, Simd::Avx2, Simd::Avx512];

    fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
        Probe::new(metric, a, Simd::Scalar).distance(b)
    }

    #[test]
    fn distances_are_those_of_the_textbook() {
        let (a, b) = ([1.0, 2.0, 3.0], [2.0, 0.0, 4.0]);
        assert_eq!(distance(Metric::EuclideanSquared, &a, &b), 6.0);
        assert_eq!(distance(Metric::Dot, &a, &b), -14.0);
        let cosine = distance(Metric::Cosine, &a, &b);
        assert!((cosine - (1.0 - 14.0 / (14.0_f32 * 20.0).sqrt())).abs() < 1e-6);
        assert_eq!(distance(Metric::Cosine, &[1.0, 0.0], &[-3.0, 0.0]), 2.0);
    }

    #[test]
    fn nothing_is_like_a_vector_without_a_direction() {
        for (a, b) in [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0]), ([0.0; 2], [0.0; 2])] {
            assert_eq!(distance(Metric::Cosine, &a, &b), 1.0);
        }
    }

    #[test]
    fn lengths_beyond_32_bits_do_not_spoil_a_distance() {
        for scale in [1e-30, 1e-40, 1e30, 3e38] {
            let cosine = distance(Metric::Cosine, &[scale, scale], &[scale, 0.0]);
            assert!((cosine - (1.0 - 0.5_f32.sqrt())).abs() < 1e-6, "{scale}: {cosine}");
        }
        let far = [[3e38, 0.0], [-3e38, 3e38]];
        assert_eq!(distance(Metric::EuclideanSquared, &far[0], &far[1]), f32::MAX);
        assert_eq!(distance(Metric::Dot, &far[0], &far[1]), f32::MAX);
        assert_eq!(distance(Metric::Dot, &[0.0], &[1.0]).to_bits(), 0);
    }

    fn component() -> impl Strategy<Value = f32> {
        prop_oneof![
            9 => -10.0_f32..10.0,
            1 => prop_oneof![Just(0.0), Just(-0.0), Just(1e-42), Just(2e38), Just(-1e-20)],
        ]
    }

    proptest! {
        #[test]
        fn small_components_are_compared_as_the_numbers_they_are(
            components in prop::collection::vec(-100_i8..100, 70 * 3), dimensions in 1_usize..70,
        ) {
            let numbers: Vec<f32> = components.iter().map(|x| f32::from(*x)).collect();
            let (probe, rows) = numbers.split_at(dimensions);
            let count = rows.len() / dimensions;
            let rows = &rows[..dimensions * count];
            let half = |x: &f32| Half::nearest(*x).unwrap().bits().to_le_bytes();
            let halves: Vec<[u8; 2]> = rows.iter().map(half).collect();
            let whole: Vec<[u8; 1]> = rows.iter().map(|x| (*x as i8).to_le_bytes()).collect();
            for (metric, simd) in Metric::ALL.into_iter().flat_map(|m| ALL.map(|simd| (m, simd))) {
                if !simd.is_supported() {
                    continue;
                }
                let probe = Probe::new(metric, probe, simd);
                let expected: Vec<f32> = rows.chunks(dimensions).map(|r| probe.distance(r)).collect();
                for small in [Components::F16(&halves), Components::I8(&whole)] {
                    let mut distances = vec![0.0; count];
                    probe.distances(small, &mut distances);
                    prop_assert_eq!(&distances, &expected);
                }
            }
        }

        #[test]
        fn a_distance_has_the_same_bits_wherever_it_is_computed(
            components in prop::collection::vec(component(), 140 * 3),
            dimensions in 1_usize..140,
            shift in 0_usize..4,
        ) {
            let (probe, rows) = components.split_at(dimensions);
            let rows = &rows[..dimensions * (rows.len() / dimensions)];
            let mut bytes = vec![0; shift];
            rows.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
            for metric in Metric::ALL {
                let scalar = Probe::new(metric, probe, Simd::Scalar);
                let expected: Vec<u32> = rows
                    .chunks(dimensions)
                    .map(|row| scalar.distance(row).to_bits())
                    .collect();
                prop_assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
                for simd in ALL.into_iter().filter(|simd| simd.is_supported()) {
                    let mut distances = vec![0.0; expected.len()];
                    let rows = Components::F32(bytes[shift..].as_chunks().0);
                    Probe::new(metric, probe, simd).distances(rows, &mut distances);
                    let bits: Vec<u32> = distances.iter().map(|d| d.to_bits()).collect();
                    prop_assert_eq!(&bits, &expected);
                }
            }
        }
    }
}
