//! Filters against the model of the engine's own tests, over documents that the fuzzer chooses.

#[path = "../../engine/src/ops/query/tests/dice.rs"]
#[expect(dead_code, reason = "other questions are asked by the engine's tests")]
mod dice;
#[path = "../../engine/src/ops/query/tests/model.rs"]
mod model;
#[path = "../../engine/src/ops/query/tests/patterns.rs"]
mod patterns;
#[path = "../../engine/src/ops/query/tests/world.rs"]
#[expect(dead_code, reason = "the engine's tests count what queries cost")]
mod world;

use sana_engine::format::schema::Metric;

use dice::Dice;
use world::World;

/// Questions about one namespace.
const QUESTIONS: usize = 4;

/// Any bytes as a schema, documents and filters. The answer must be that of brute force, whether all
/// is indexed, nothing is, or some.
pub fn filter(bytes: &[u8]) {
    let mut dice = Dice::of(bytes);
    let mixed = dice.small_world();
    let documents = || mixed.documents.values().cloned().collect();
    let attributes = mixed.schema.attributes.clone();
    let like = || {
        let mut world = World::new(mixed.schema.id_type.expect("it has one"), Metric::Cosine, &[]);
        world.schema.attributes = attributes.clone();
        world.schema.next_id = mixed.schema.next_id;
        world.put(documents());
        world
    };
    let (unindexed, mut indexed) = (like(), like());
    indexed.flush();
    for _ in 0..QUESTIONS {
        let request = dice.filtered(&mixed.schema);
        for world in [&mixed, &unindexed, &indexed] {
            match world.query(&request).outcome {
                Ok(answer) => model::assert_right(world, &request, &answer),
                Err(error) => panic!("{error} for {request:?}"),
            }
        }
    }
}
