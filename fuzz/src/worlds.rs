//! Small worlds of the simulator, whose decisions the fuzzer takes: it looks for what leads to code that
//! no world came to before, where a seed draws.

use std::sync::Once;

use sana_sim::choices::Choices;
use sana_sim::guard;
use sana_sim::story::Story;
use sana_sim::swarm;
use sana_sim::trace::Trace;
use sana_sim::world::World;
use sana_sim::world::size::Size;

static SILENCE: Once = Once::new();

/// Any bytes as the decisions of a world. No property may break; if one does, the trace is printed by
/// which the simulator tells the run, and shrinks it.
pub fn world(bytes: &[u8]) {
    // An assertion of the engine is a finding with a trace, not the end of the process.
    SILENCE.call_once(guard::silence_panics);
    let size = Size { clients_per_space: 2, ..swarm::size(2, 5) };
    let run = World::new(Choices::bytes(bytes).recording(), size, Story::silent()).run(size);
    if let Some(broken) = run.broken {
        let trace = Trace { size, seed: 0, ways: run.ways };
        eprintln!("{broken}\ncargo run --release -p sana-sim -- shrink {trace}");
        panic!("{broken}");
    }
}
