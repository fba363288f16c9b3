//! A bucket that never fails, and the time.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::blob::Blob;
use crate::base::name::{AttributeName, Key, NamespaceName};
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::{Raw, Scalar, Value};
use crate::machine::request::{Listed, Reply, Request, Tag, When};
use crate::machine::{Machine, Step};
use crate::namespace::request::{
    Consistency, Found, Include, Operator, Predicate, QueryRequest, Rank, RawDocument, Want,
    WriteOutcome, WriteRequest,
};
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::settings::Settings;
use crate::service::task::{Output, Start, Task};

/// A bucket and the time.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) objects: BTreeMap<Key, (u64, Blob)>,
    pub(super) versions: u64,
    pub(super) now: u64,
    pub(super) seeds: u128,
    /// What was asked since somebody looked.
    pub(super) asked: Vec<Request>,
    pub(super) rounds: usize,
    /// Objects that it cannot read back.
    pub(super) rotten: BTreeSet<Key>,
    /// Whether no reply comes.
    pub(super) is_silent: bool,
    /// Objects that it does not delete.
    pub(super) locked: BTreeSet<Key>,
}

impl Bench {
    pub(super) fn perform(&mut self, request: Request) -> Reply {
        self.asked.push(request.clone());
        let tag = |version: u64| Tag::new(version.to_string());
        match request {
            _ if self.is_silent => Reply::Lost,
            Request::Get { key, .. } if self.rotten.contains(&key) => Reply::Unreadable,
            Request::Get { key, range, unless } => match self.objects.get(&key) {
                None => Reply::Missing,
                Some((version, _)) if unless == Some(tag(*version)) => Reply::NotModified,
                Some((version, body)) => {
                    let end = body.len();
                    let range =
                        range.map_or(0..end, |r| r.start as usize..(r.end as usize).min(end));
                    let body = body.slice(range.start.min(range.end), range.end).unwrap();
                    Reply::Found { tag: tag(*version), body }
                }
            },
            Request::Put { key, body, when } => {
                let found = self.objects.get(&key).map(|(version, _)| tag(*version));
                let wanted = match when {
                    When::Absent | When::Fresh => None,
                    When::Matches(tag) => Some(tag),
                };
                if found != wanted {
                    return Reply::Refused;
                }
                self.versions += 1;
                self.objects.insert(key, (self.versions, body));
                Reply::Stored { tag: tag(self.versions) }
            }
            Request::Delete { key } if self.locked.contains(&key) => Reply::Throttled,
            Request::Delete { key } => {
                self.objects.remove(&key);
                Reply::Deleted
            }
            Request::List { prefix, after, .. } => {
                let named = self.objects.iter().filter(|(key, _)| {
                    key.as_str().starts_with(prefix.as_str()) && after.as_ref() < Some(key)
                });
                let listed = |(key, (_, body)): (&Key, &(u64, Blob))| Listed {
                    key: key.clone(),
                    bytes: body.len() as u64,
                };
                Reply::Listed { objects: named.map(listed).collect(), more: false }
            }
        }
    }

    /// Runs everything that is due, one operation after the other, until nothing is.
    pub(super) fn settle(&mut self, service: &mut NamespaceService) -> BTreeMap<Ticket, Word> {
        let mut words = BTreeMap::new();
        loop {
            self.seeds += 1;
            let wall = WallTime(self.now);
            let starts = service.due(Timestamp(self.now), wall, self.seeds);
            if starts.is_empty() {
                return words;
            }
            assert!(self.rounds < 50_000, "it does not come to rest: {:?}", self.asked.last());
            for (id, start) in starts {
                let mut step: Step<Task> = start.begin(Timestamp(self.now));
                let output = loop {
                    match step {
                        Step::Done(output) => break output,
                        Step::Wait(task, round) => {
                            if round.requests.is_empty() {
                                self.now = self.now.max(round.until.0);
                            }
                            self.rounds += 1;
                            let replies = round.requests.into_iter();
                            let replies = replies.map(|r| self.perform(r)).collect();
                            step = task.step(Timestamp(self.now), replies);
                        }
                    }
                };
                words.extend(service.finished(Timestamp(self.now), id, output));
            }
        }
    }

    /// How many rounds there were, and what was asked, since the last look.
    pub(super) fn look(&mut self) -> (usize, Vec<Request>) {
        (core::mem::take(&mut self.rounds), core::mem::take(&mut self.asked))
    }

    pub(super) fn write(&mut self, service: &mut NamespaceService, request: WriteRequest) -> Word {
        service.write(Timestamp(self.now), Ticket(1), request, 100);
        self.settle(service).remove(&Ticket(1)).unwrap()
    }

    pub(super) fn lookup(&mut self, service: &mut NamespaceService, id: u64) -> Option<i64> {
        service.query(Timestamp(self.now), Ticket(2), by_id(id));
        match self.settle(service).remove(&Ticket(2)) {
            Some(Word::Answered(Ok(answer))) => match answer.found {
                Found::Rows(rows) => rows.first().map(|row| match &row.attributes[0].1 {
                    Value::Scalar(Scalar::Int(n)) => *n,
                    other => panic!("{other:?}"),
                }),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn wait(&mut self, service: &mut NamespaceService, milliseconds: u64) {
        self.now += milliseconds;
        self.settle(service);
    }
}

pub(super) fn by_id(id: u64) -> QueryRequest {
    QueryRequest {
        filter: Some(Predicate::Compare {
            attribute: "id".into(),
            operator: Operator::Eq,
            operand: Raw::Integer(id.into()),
        }),
        want: Want::rows(Rank::By(vec![]), 1, Include::All),
        consistency: Consistency::Strong,
    }
}

pub(super) fn service() -> NamespaceService {
    let name = NamespaceName::parse("ns").unwrap();
    NamespaceService::new(Timestamp(0), name, Settings::default())
}

pub(super) fn document(id: u64, a: i128) -> RawDocument {
    let name = AttributeName::parse("a").unwrap();
    RawDocument { id: Raw::Integer(id.into()), attributes: vec![(name, Raw::Integer(a))] }
}

pub(super) fn upsert(id: u64, a: i128) -> WriteRequest {
    WriteRequest { upserts: Some(vec![document(id, a)]), ..WriteRequest::default() }
}

pub(super) fn patch(id: u64, a: i128) -> WriteRequest {
    WriteRequest { patches: Some(vec![document(id, a)]), ..WriteRequest::default() }
}

pub(super) fn text(id: u64, bytes: usize) -> WriteRequest {
    let name = AttributeName::parse("text").unwrap();
    // 4 KiB is the most a filterable value may have.
    let chunk = Raw::Text("x".repeat(4_000).into());
    let attributes = vec![(name, Raw::List(vec![chunk; bytes / 4_000]))];
    let upserts = Some(vec![RawDocument { id: Raw::Integer(id.into()), attributes }]);
    WriteRequest { upserts, ..WriteRequest::default() }
}

/// Runs a task to its end, on a bucket where nothing else happens.
pub(super) fn run(bench: &mut Bench, start: Start) -> Output {
    let step = start.begin(Timestamp(bench.now));
    finish(bench, step)
}

/// Goes on with a task to its end.
pub(super) fn finish(bench: &mut Bench, mut step: Step<Task>) -> Output {
    loop {
        match step {
            Step::Done(output) => return output,
            Step::Wait(task, round) => {
                let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
                step = task.step(Timestamp(bench.now), replies);
            }
        }
    }
}

pub(super) fn written(word: Word) -> WriteOutcome {
    match word {
        Word::Written(Ok(outcome)) => outcome,
        other => panic!("{other:?}"),
    }
}

/// Steps a task until it asks for a put, and returns it with that round.
pub(super) fn until_put(bench: &mut Bench, start: Start) -> (Task, Vec<Request>) {
    let mut step = start.begin(Timestamp(bench.now));
    loop {
        let Step::Wait(task, round) = step else { panic!("it ends without a put") };
        if round.requests.iter().any(|request| !request.is_read()) {
            return (task, round.requests);
        }
        let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
        step = task.step(Timestamp(bench.now), replies);
    }
}
