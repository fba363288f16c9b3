//! What a merge holds at once does not depend on how much it merges.

use peak_alloc::PeakAlloc;
use sana_benches::world::World;
use sana_engine::base::id::AttributeId;
use sana_engine::base::value::{Document, Id, Scalar, ScalarType, Type, Value, Vector};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const DIMENSIONS: u32 = 256;
const MIB: usize = 1 << 20;

/// Documents that do not compress: a vector and a text of about 2 KiB together.
fn documents(from: u64, count: u64) -> Vec<Document> {
    let mut state = from + 1;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let document = |id| {
        let components: Vec<_> = (0..DIMENSIONS).map(|_| random() as f32 / 1e9).collect();
        let words: Vec<_> = (0..128).map(|_| format!("{:08x}", random())).collect();
        let vector = Value::Vector(Vector::new(components).expect("numbers are finite"));
        let text = Value::Scalar(Scalar::String(words.concat().into()));
        let attributes = vec![(AttributeId(0), vector), (AttributeId(1), text)];
        Document { id: Id::Uint(id), attributes }
    };
    (from..from + count).map(document).collect()
}

/// Merges eight segments of so many documents each. How large the result is, and how much more memory
/// was taken at some moment than its parts need, which stay in memory here.
fn merge(each: u64) -> (usize, usize) {
    let attributes =
        [("vector", Type::vector(DIMENSIONS)), ("text", Type::Scalar(ScalarType::String))];
    let mut world = World::new(&attributes);
    for segment in 0..8 {
        world.commit(documents(segment * each, each));
        world.flush();
    }
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    world.merge();
    let output = world.stored() as usize;
    assert_eq!(world.snapshot.live().manifest.live_rows, 8 * each);
    (output, MEMORY.peak_usage() - before - output)
}

#[test]
fn a_merge_of_four_times_as_much_takes_no_more_memory() {
    let (small, least) = merge(1_000);
    let (large, most) = merge(4_000);
    assert!(small > 15 * MIB && large > 60 * MIB, "{small} and {large} bytes were merged");
    assert!(most < 64 * MIB, "a merge of {large} bytes held {most} more");
    assert!(
        most < least + 32 * MIB,
        "a merge held {least} bytes, and {most} with four times as much"
    );
    println!("{small} bytes: {least} more; {large} bytes: {most} more");
}
