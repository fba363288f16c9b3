//! O10: what a query finds is what brute force finds in some state that the namespace had.
//!
//! An answer can be wrong in two ways. It may be the answer of another state than it should be: that is
//! for O1 and [O9](super::snapshots) to say. Or it is the answer of no state at all: then filters,
//! orders, sums or distances are wrong, and this says so by name.
//!
//! The brute force is [`model::search`](crate::model::search), which has nothing of the engine but the
//! words of questions and values.

use sana_engine::namespace::request::{Found, Predicate, QueryRequest, Search, Want};

use crate::model::Contents;
use crate::model::search;
use crate::oracles::linearizability::Told;
use crate::oracles::{Broken, Oracle};

/// Whether this is what a client has to be told of a query, if it sees this state.
pub fn agrees(contents: &Contents, query: &QueryRequest, told: Told<'_>) -> bool {
    match (contents, told) {
        (Some(content), Told::Found(answer)) => search::find(content, query)
            .is_some_and(|expected| search::agrees(content, query, answer, &expected)),
        (Some(content), Told::NoAttribute) => search::find(content, query).is_none(),
        (contents, Told::NoNamespace) => contents.is_none(),
        (None, _) => false,
    }
}

/// The query that each of several searches would be by itself, with its answer. Nothing, if the answer
/// is not one of several.
pub fn parts<'a>(query: &QueryRequest, told: Told<'a>) -> Vec<(QueryRequest, Told<'a>)> {
    let (Want::Several { searches, fuse: None }, Told::Found(Found::Several(found))) =
        (&query.want, told)
    else {
        return Vec::new();
    };
    let alone = |(search, found): (&Search, &'a Found)| {
        let filters = [&query.filter, &search.filter].into_iter().flatten().cloned().collect();
        let filter = Some(Predicate::And(filters));
        let (want, consistency) = (search.want.clone(), query.consistency);
        (QueryRequest { filter, want, consistency }, Told::Found(found))
    };
    searches.iter().zip(found).map(alone).collect()
}

/// That no state has this answer.
///
/// # Errors
///
/// Always.
pub fn broken<T>(query: &QueryRequest, told: Told<'_>, contents: &Contents) -> Result<T, Broken> {
    let expected = contents.as_deref().and_then(|content| search::find(content, query));
    Oracle::Search.broken(format!(
        "no state has this answer: {query:?} was answered {told:?}, and brute force finds {expected:?}"
    ))
}
