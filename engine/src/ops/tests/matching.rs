//! How much of what filters match is found.

use super::*;

use crate::base::host::Host;
use crate::base::time::Timestamp;
use crate::base::value::Raw;
use crate::namespace::matched::Matched;
use crate::namespace::request::{ByFilter, Operator, Predicate, WriteRequest};
use crate::ops::matching::{Matching, Most};

/// All that has a text.
fn all() -> ByFilter {
    let (attribute, operand) = ("text".to_owned(), Raw::Null);
    let filter = Predicate::Compare { attribute, operator: Operator::NotEq, operand };
    ByFilter { filter, allows_partial: false }
}

fn matched(world: &mut World, most: Most) -> Matched {
    let request = WriteRequest {
        delete_by_filter: Some(all()),
        patch_by_filter: Some((all(), Vec::new())),
        ..WriteRequest::default()
    };
    let snapshot = world.snapshot.clone();
    let first = Matching::with(Timestamp(0), snapshot, &request, Host::default(), NEVER, most);
    world.run(first, |_, _| None).0.unwrap()
}

#[test]
fn as_many_are_found_as_may_be_changed_and_whether_there_are_more() {
    let mut world = World::new();
    world.commit((0..10).map(|id| put(id, 1)).collect(), vec![]);
    world.flush();
    world.commit((10..20).map(|id| put(id, 1)).collect(), vec![]);
    for most in [1, 19, 20, 21] {
        let found = matched(&mut world, Most { deletes: most, patches: most });
        let (held, more) = (most.min(20), most < 20);
        assert_eq!((found.deletes.ids.len(), found.deletes.more), (held, more), "of {most}");
        assert_eq!((found.patches.documents.len(), found.patches.more), (held, more), "of {most}");
        for (id, document) in &found.patches.documents {
            assert_eq!(Some(document), world.model.get(id));
        }
    }
}
