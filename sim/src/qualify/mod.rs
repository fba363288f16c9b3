//! Does what clients saw of a real store fit the model?
//!
//! The model is [`Store`](crate::store::Store): every world of the simulator and of the explorer rests
//! on it. Whether a real store is like it can be seen from outside, by the replies it gives to many
//! clients at once. A history of them is *included* in the model if there is an order of all requests,
//! each at one moment between its beginning and its end, in which the model gives the same replies.
//! [`check`] decides whether there is one.
//!
//! | module            | what it answers                                                    |
//! |-------------------|--------------------------------------------------------------------|
//! | [`history`]       | What did clients see?                                              |
//! | `projection`      | What does that say of each object?                                 |
//! | `register`        | What does the model do with one object?                            |
//! | `search`          | Is there an order?                                                 |
//! | [`contradiction`] | Which replies cannot all be true?                                  |
//!
//! # What the model leaves open
//!
//! - A write without a reply may take effect at any later moment, or never. One that was turned away
//!   did not and will not.
//! - Tags are names of versions. If a content comes back, its tag may come back too.
//! - A page of a listing sees each object at some moment of its own.
//! - Under [`Conflicts::Allowed`] a put may be refused because another write of the object is under
//!   way, whatever its condition says: S3 answers 409 then.

pub mod contradiction;
pub mod history;
mod projection;
mod register;
mod search;
#[cfg(test)]
mod tests;

use sana_engine::base::name::Key;

use contradiction::Contradiction;
use history::History;
use search::Found;

/// What the store that was asked may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// Whether writes may be in each other's way.
    pub conflicts: Conflicts,
}

/// Whether a put may be refused though its condition holds, because another is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Conflicts {
    /// A refusal says that the condition did not hold.
    #[default]
    Never,
    /// It may also say that another write of the object was under way.
    Allowed,
}

/// What was found out about a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Some order of the requests explains all replies.
    Fits(Followed),
    /// None does.
    Contradicts(Box<Contradiction>),
    /// There were too many orders to be tried. Nothing is known.
    Undecided {
        /// The object whose requests have so many.
        key: Key,
    },
}

/// What was followed to find an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Followed {
    /// Objects whose requests have an order.
    pub objects: usize,
    /// Requests and looks of listings that were put in order.
    pub deeds: usize,
    /// The most ways that were open at once for one object.
    pub ways: usize,
}

/// Ways that are followed at once, for one object.
const WAYS_MAX: usize = 200_000;

/// And while the fewest replies are looked for that contradict each other, which is only for people.
const WAYS_OF_A_PART_MAX: usize = 20_000;

/// Decides whether a history is one of the model.
pub fn check(history: &History, rules: Rules) -> Verdict {
    let objects = match projection::objects(history, rules) {
        Ok(objects) => objects,
        Err(contradiction) => return Verdict::Contradicts(Box::new(contradiction)),
    };
    let mut followed = Followed::default();
    for object in objects {
        match search::order(&object.ops, &[None], WAYS_MAX) {
            Found::Order { ways } => {
                followed.objects += 1;
                followed.deeds += object.ops.len();
                followed.ways = followed.ways.max(ways);
            }
            Found::None { at } => {
                let narrow = contradiction::narrow(history, &object, at, WAYS_OF_A_PART_MAX);
                return Verdict::Contradicts(Box::new(narrow));
            }
            Found::TooMany => return Verdict::Undecided { key: object.key },
        }
    }
    Verdict::Fits(followed)
}
