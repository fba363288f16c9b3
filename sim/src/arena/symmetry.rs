//! Actors that are alike: a world in which they have changed places is the same world.
//!
//! An exploration says which of its actors are alike: their scripts are the same but for the values they
//! write. Give one the script of the other and the other way round, and nothing is new: wherever there
//! was one's request, nonce, commit id or value, there now is the other's. Such a world is a *mirror
//! image*. Only one of all images has to be explored, for what can happen in one can happen in the
//! image, with the actors' places changed, and an oracle is broken in both or in none.
//!
//! **How images are recognised.** Nonces and values stand deep inside encoded heads, with checksums
//! around them and tags made of them, so no image is computed from a world. Each world *brings its images
//! with it*: the first world is its own image, and whatever happens to an actor of it happens in the
//! image to the actor in its place, through the same machines and oracles. So an image is a world that
//! was reached, not one that is believed to be. A world is known by the least of the fingerprints of
//! its images, so all of them are entered once.
//!
//! **Why that is sound.** If one world's image is another world that was entered, then whatever begins
//! here has an image that begins there. That rests on the engine treating nonces and values alike,
//! whatever they are, and this is not believed but checked: at each event all images must do the same
//! (`agree`): come across the same marks, leave as many objects and writes adrift, tell as many clients
//! nothing, and wait in rounds of the same shape. What is broken in an image is broken.
//!
//! **What is not alike.** A sweeper sorts what it deletes by nonces, so the third write of its round is
//! another object in an image. Where there is one, no actors are said to be alike (`ways` refuses it).

use sana_engine::machine::request::Request;

use crate::arena::turn::{Actor, Outcome};
use crate::deed::Deed;
use crate::oracles::Broken;

/// Who stands in the place of each actor.
pub(super) type Places = Vec<usize>;

/// Every way in which actors that are alike can change places; the first changes nothing.
///
/// # Panics
///
/// If the scripts of actors that are said to be alike are not, or somebody sweeps.
pub(super) fn ways(scripts: &[Vec<Deed>], alike: &[Vec<usize>]) -> Vec<Places> {
    let sweeps = scripts.iter().flatten().any(|deed| matches!(deed, Deed::Sweep));
    assert!(alike.is_empty() || !sweeps, "what a sweeper does depends on the order of nonces");
    let mut ways: Vec<Places> = vec![(0..scripts.len()).collect()];
    for group in alike {
        for one in group {
            let kinds = |i: usize| scripts[i].iter().map(std::mem::discriminant);
            assert!(kinds(*one).eq(kinds(group[0])), "actors are alike whose scripts are not");
        }
        ways = ways
            .iter()
            .flat_map(|way| {
                orders(group).into_iter().map(|order| {
                    let mut way = way.clone();
                    group.iter().zip(order).for_each(|(from, to)| way[*from] = to);
                    way
                })
            })
            .collect();
    }
    ways
}

/// Every order of these, the given one first.
fn orders(all: &[usize]) -> Vec<Vec<usize>> {
    if all.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (n, first) in all.iter().enumerate() {
        let rest: Vec<usize> = [&all[..n], &all[n + 1..]].concat();
        orders.extend(self::orders(&rest).into_iter().map(|rest| [vec![*first], rest].concat()));
    }
    orders
}

/// What one event comes to in each image, if all agree.
///
/// # Errors
///
/// [`Broken`] if a property is broken by it, in whatever image.
///
/// # Panics
///
/// If images do not agree: then actors are not alike that were said to be.
pub(super) fn agree(images: Vec<Result<Outcome, Broken>>) -> Result<Vec<Outcome>, Broken> {
    // An image is a world that was reached, so what is broken there is broken.
    let outcomes = images.into_iter().collect::<Result<Vec<Outcome>, Broken>>()?;
    let shapes: Vec<_> = outcomes.iter().map(shape).collect();
    let first = shapes.first().expect("the world is its own image");
    assert!(shapes.iter().all(|shape| shape == first), "actors are not alike: {shapes:?}");
    Ok(outcomes)
}

/// What the outcomes of one event have in common in all images.
#[derive(PartialEq, Eq, Debug)]
struct Shape {
    /// How far the actor is, what it holds, and what it waits for.
    actor: Option<[u64; 4]>,
    round: Vec<(u8, usize)>,
    /// How much there is in the store and adrift, who hears nothing, and the marks.
    counts: [u64; 4],
}

fn shape(outcome: &Outcome) -> Shape {
    let Outcome { actor, store, adrift, orphaned, marks, .. } = outcome;
    let actor = actor.as_deref();
    let place = |actor: &Actor| {
        let is_held = u64::from(actor.held.is_some());
        [actor.at.into(), actor.tries.into(), is_held, actor.spilled.len() as u64]
    };
    let running = actor.and_then(|actor| actor.running.as_ref());
    let requests = running.map(|running| running.round.requests.as_slice()).unwrap_or_default();
    // Bodies are as long as the nonces in them are large, so they may differ in length.
    let kind = |request: &Request| {
        let kind = match request {
            Request::Get { .. } => 0,
            Request::Put { .. } => 1,
            Request::Delete { .. } => 2,
            Request::List { .. } => 3,
        };
        (kind, request.key().as_str().len())
    };
    let objects = store.as_ref().map_or(0, |store| store.objects().count() as u64);
    let counts = [objects, adrift.len() as u64, orphaned.len() as u64, *marks];
    Shape { actor: actor.map(place), round: requests.iter().map(kind).collect(), counts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::setup::{self, Reach};
    use crate::arena::{LeavesOut, Setup};
    use crate::explore::{Bounds, explore};

    #[test]
    fn actors_change_places_within_their_group_only() {
        let scripts = vec![vec![Deed::Flush]; 5];
        assert_eq!(ways(&scripts, &[]), [[0, 1, 2, 3, 4]]);
        assert_eq!(ways(&scripts, &[vec![0, 2]]), [[0, 1, 2, 3, 4], [2, 1, 0, 3, 4]]);
        assert_eq!(ways(&scripts, &[vec![0, 1, 2], vec![3, 4]]).len(), 12);
    }

    #[test]
    #[should_panic(expected = "a sweeper")]
    fn where_somebody_sweeps_nobody_is_alike() {
        ways(&[vec![Deed::Sweep], vec![Deed::Sweep]], &[vec![0, 1]]);
    }

    #[test]
    #[should_panic(expected = "whose scripts are not")]
    fn who_does_something_else_is_not_alike() {
        ways(&[vec![Deed::Flush], vec![Deed::Merge]], &[vec![0, 1]]);
    }

    /// Each of these finds no namespace and is done, in one event.
    #[test]
    fn of_two_who_are_alike_it_does_not_matter_who_was_first() {
        let worlds = |count: usize, images: bool| {
            let toy = Setup {
                scripts: vec![vec![Deed::Flush]; count],
                alike: vec![(0..count).collect()],
                leaves_out: LeavesOut { orders: true, images },
                ..setup::named("flush", Reach::Small).unwrap()
            };
            explore(&toy.begin(), Bounds { worlds: 1_000, threads: 1 }, |_, _| ()).states
        };
        for count in 1..5 {
            assert_eq!((worlds(count, false), worlds(count, true)), (1 << count, count + 1));
        }
    }
}
