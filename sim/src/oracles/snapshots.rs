//! O9: a query that begins at a head is answered as of that head, whole.
//!
//! O1 looks at what clients are told: an answer may be of any moment while the client waited. This looks
//! at the machine. A query is begun with a snapshot, whose head says its step; what was recoverable at
//! that step is known; so there is one right answer. A query that has to start over begins again, from a
//! later head, and one that cannot be answered fails and says so. The parts of several searches are
//! those of one step.

use std::collections::BTreeMap;
use std::sync::Arc;

use sana_engine::base::id::Stamp;
use sana_engine::format::head::Head;
use sana_engine::namespace::request::{Answer, QueryError, QueryRequest};
use sana_engine::service::task::Start;

use crate::model::Contents;
use crate::oracles::linearizability::Told;
use crate::oracles::search;
use crate::oracles::{Broken, Oracle};

/// What could be recovered at each step of a head, as far back as a query may reach.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Versions {
    /// By step: since when, and what.
    known: BTreeMap<Stamp, (u64, Contents)>,
    /// Steps up to this one are forgotten.
    forgotten: Stamp,
}

/// What a machine was asked to answer, and the step of the head it began at.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Asked {
    query: Arc<QueryRequest>,
    step: Stamp,
}

/// How long a step is remembered, in milliseconds: longer than any query may take, or lag behind.
const PAST_MOST: u64 = 200_000;
/// Steps that are remembered, at most.
const STEPS_MAX: usize = 4_000;

impl Asked {
    /// What this operation asks, if it is a query.
    pub fn of(start: &Start) -> Option<Self> {
        match start {
            Start::Query { snapshot, request, .. } => {
                Some(Self { query: request.clone(), step: snapshot.head.step })
            }
            _ => None,
        }
    }
}

impl Versions {
    /// A head was put, and this can be recovered from it.
    pub fn push(&mut self, now: u64, head: &Head, contents: Contents) {
        self.known.insert(head.step, (now, contents));
        while self.known.len() > 1
            && let Some(first) = self.known.first_entry()
            && (first.get().0 + PAST_MOST < now || self.known.len() > STEPS_MAX)
        {
            let Some((step, _)) = self.known.pop_first() else { return };
            self.forgotten = step;
        }
    }

    /// A query that was begun at a step came to this.
    ///
    /// # Errors
    ///
    /// [`Broken`] if that is not so at that step.
    pub fn check(&self, asked: &Asked, outcome: &Result<Answer, QueryError>) -> Result<(), Broken> {
        let Asked { query, step } = asked;
        let told = match outcome {
            Ok(answer) => Told::Found(&answer.found),
            Err(QueryError::Invalid(_)) => Told::NoAttribute,
            // It fails cleanly; whether it may is for others to say.
            Err(_) => return Ok(()),
        };
        let Some((_, contents)) = self.known.get(step) else {
            return Oracle::Snapshot.demand(*step <= self.forgotten, || {
                format!("a query is answered at step {}, and no head had it", step.0)
            });
        };
        if search::agrees(contents, query, told) {
            return Ok(());
        }
        let fits = |query: &QueryRequest, told| {
            let mut newest = self.known.iter().rev();
            newest.find(|(_, (_, state))| search::agrees(state, query, told)).map(|(step, _)| step)
        };
        if let Some(other) = fits(query, told) {
            return Oracle::Snapshot.broken(format!(
                "a query begun at step {} is answered as of step {}: {query:?}, {told:?}",
                step.0, other.0
            ));
        }
        let parts = search::parts(query, told);
        let steps: Option<Vec<_>> = parts.iter().map(|(query, told)| fits(query, *told)).collect();
        match steps.filter(|steps| steps.len() > 1) {
            Some(steps) => Oracle::Snapshot.broken(format!(
                "the parts of a query begun at step {} are of {steps:?}: {query:?}, {told:?}",
                step.0
            )),
            None => search::broken(query, told, contents),
        }
    }
}
