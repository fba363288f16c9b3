//! All that can go wrong with a store and with those who use it, and what becomes of it here.
//!
//! A list that nobody keeps is soon a list of good intentions. So each fault names the count that shows
//! it happening in worlds of the simulator, or the test that has it, or why it cannot happen to us.

use core::fmt;

use crate::world::profile::Fault;

use Status::{Elsewhere, Injected, LeftOut, Reached, Weak};

/// One kind of thing that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number.
    pub number: u32,
    /// What it is.
    pub what: &'static str,
    /// What becomes of it.
    pub status: Status,
    /// How it is brought about, which test has it, or why it is left out.
    pub reason: &'static str,
}

/// What becomes of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Worlds bring it about. It is counted.
    Injected(Fault),
    /// It comes about by itself. It is counted.
    Reached(Fault),
    /// It is what a weak store does, under which the oracles must go red.
    Weak(&'static str),
    /// A test of another part has it: the file, and the test's name.
    Elsewhere(&'static str, &'static str),
    /// It cannot happen to us.
    LeftOut,
}

impl Entry {
    /// What shows it happening, if worlds of the simulator do.
    pub const fn count(&self) -> Option<Fault> {
        match self.status {
            Injected(fault) | Reached(fault) => Some(fault),
            Weak(_) | Elsewhere(..) | LeftOut => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Injected(fault) => format!("injected: {fault:?}"),
            Reached(fault) => format!("reached: {fault:?}"),
            Weak(store) => format!("store: {store}"),
            Elsewhere(_, test) => format!("test: {test}"),
            LeftOut => "left out".to_owned(),
        };
        write!(f, "{:>3} {}\n      {status}. {}", self.number, self.what, self.reason)
    }
}

const S3: &str = "tests/tests/s3.rs";

const fn entry(number: u32, what: &'static str, status: Status, reason: &'static str) -> Entry {
    Entry { number, what, status, reason }
}

/// Every fault, by its number.
#[rustfmt::skip]
pub const TABLE: [Entry; 62] = [
    // The fate of a request.
    entry(1, "dropped before it is applied", Injected(Fault::WriteDropped), "Drawn for each request."),
    entry(2, "applied, and the reply is lost", Injected(Fault::ReplyLost), "Drawn for each request."),
    entry(3, "lands late, after its sender gave up, crashed and started again", Injected(Fault::LandedAfterRestart), "A write is on its way for up to a minute."),
    entry(4, "applied twice by somebody in between", Injected(Fault::Twice), "The sender hears what the second time came to; a delete comes again as well."),
    entry(5, "the connection breaks, and nothing was applied", Injected(Fault::BrokenBefore), "The sender hears of it at once."),
    entry(6, "the client's timeout is shorter than the server's", Injected(Fault::LandedLate), "The put lands when its round is over."),
    entry(7, "requests of one client are reordered", Reached(Fault::Overtook), "Each is on its way for a time of its own."),
    entry(8, "an abandoned request is still applied", Injected(Fault::LandedAfterCrash), "What was sent goes its way when its node crashes."),
    // Statuses that lie.
    entry(9, "500, 502, 504 after it was applied", Injected(Fault::BrokenAfter), "The runtime takes each for a lost reply, and so does the world."),
    entry(10, "409 for nothing, or for a change under way", Injected(Fault::ConflictInRace), "Refused, though the condition holds, also while another put is in flight."),
    entry(11, "412 on one's own write", Injected(Fault::RefusedItself), "By a doubled put, or one that lands late."),
    entry(12, "404 for a condition on what is not there", Elsewhere(S3, "what_is_missing_is_missing_only_if_the_store_says_so"), "It is a refusal; registers are never removed."),
    entry(13, "200 with an error in the body", LeftOut, "Only copies and the end of uploads in parts are answered so, and we use neither."),
    entry(14, "400 RequestTimeout", Elsewhere(S3, "who_is_turned_away_is_told_that_nothing_happened"), "Turned away."),
    entry(15, "503 and 429, budgets of each object", Injected(Fault::KeyBudget), "Requests are turned away by chance, and a second put of an object within a second where the store says so."),
    entry(16, "403: credentials have expired", Injected(Fault::Expired), "All that a node asks is turned away for a while."),
    entry(17, "301, 307", Elsewhere(S3, "who_is_turned_away_is_told_that_nothing_happened"), "Turned away; nothing is followed."),
    entry(18, "the condition is ignored", Weak("weak-conditions"), "The probe at the start finds such a store out (tests/tests/stores.rs)."),
    // Concurrency.
    entry(19, "racing creates", Reached(Fault::CreateRaced), "Two begin a namespace, or one does whose first put comes twice."),
    entry(20, "racing conditional puts", Reached(Fault::Refused), "Several nodes write to one namespace."),
    entry(21, "a delete against a create", Injected(Fault::LateOrphan), "An object is created when its creator has given up and a sweeper may have been there; no name is used twice."),
    entry(22, "a delete against a conditional put", LeftOut, "What is put on a condition is a register, and registers are never deleted; a conflict for nothing is injected (10)."),
    entry(23, "equal content brings a tag back", Elsewhere("sim/src/store.rs", "content_that_comes_back_has_its_old_tag_only_where_tags_are_digests"), "In worlds of s3, r2 and minio tags are digests; every head has a nonce."),
    entry(24, "two winners", Weak("weak-races"), "Both of two puts on one version are performed."),
    // Reads.
    entry(25, "short body, truncated stream, stall", Injected(Fault::Cut), "A reply that ends too early; what the runtime can tell to be short it takes for lost (tests/tests/s3.rs)."),
    entry(26, "corrupt bytes", Injected(Fault::Flipped), "One bit is another. What the store knows to be damaged it says so: Unreadable, and for a while Rotten."),
    entry(27, "range past the end", Injected(Fault::Cut), "A part shorter than was asked for; what a store says behind the end is tested on servers (tests/tests/s3.rs)."),
    entry(28, "parts of two versions", LeftOut, "Only objects that are written once are read in parts."),
    entry(29, "a stale read", Weak("weak-reads"), "Every fourth read of a changed object finds the version before."),
    entry(30, "a blip of not found", Injected(Fault::Blip), "Of objects that are written once; of registers only by weak-blips."),
    entry(31, "the tag is spelled otherwise", Elsewhere(S3, "what_went_well_is_told_as_it_was"), "A tag is handed back as it was spelled, and never read."),
    // Listings.
    entry(32, "objects come and go between pages", Reached(Fault::ListChanged), "Pages have three names in half of the worlds."),
    entry(33, "a prefix is throttled", Injected(Fault::PrefixThrottled), "All objects of a namespace but its head, for a while."),
    entry(34, "pages without keys", Elsewhere(S3, "a_listing_that_does_not_answer_the_request_is_no_answer"), "We list without a delimiter; a page that names nothing and goes on is no answer."),
    entry(35, "orphans and garbage of others", Injected(Fault::Foreign), "Somebody's objects among those of a namespace; they must stay."),
    entry(36, "a stale listing", Weak("weak-lists"), "One that is only old is as one asked for earlier, and does no harm; the weak store never names some objects."),
    // Uploads in parts.
    entry(37, "a part is lost, out of order, resized", LeftOut, "Every object is put as a whole."),
    entry(38, "the completion is ambiguous", LeftOut, "Every object is put as a whole."),
    entry(39, "the abort is ambiguous", LeftOut, "Every object is put as a whole."),
    entry(40, "a rule aborts the upload", LeftOut, "Every object is put as a whole."),
    entry(41, "completed after it was aborted", LeftOut, "Every object is put as a whole."),
    // Administration.
    entry(42, "a rule deletes live objects", Weak("weak-lifecycle"), "An object that was written once goes with every fourth put."),
    entry(43, "versions and delete markers", LeftOut, "A marker reads as nothing there; old versions cost and do nothing else."),
    entry(44, "configuration is eventual", LeftOut, "None is changed."),
    entry(45, "deletes are refused", Injected(Fault::DeleteRefused), "Half of a namespace's objects, for a while."),
    // Time.
    entry(46, "clocks run at rates of their own", Injected(Fault::Drifted), "A tenth too fast or too slow, or a ten-thousandth."),
    entry(47, "the calendar jumps; a suspended machine", Injected(Fault::Suspended), "The clock for waiting stands still with a node or not; calendars are set either way: CalendarSet."),
    entry(48, "the server's Last-Modified is wrong", LeftOut, "It is not read."),
    entry(49, "a pause longer than everything", Injected(Fault::PausedLong), "Up to 40 s, where retention is 1 or 10 s."),
    // Processes.
    entry(50, "a crash before and after each round", Injected(Fault::CrashBefore), "And after: CrashAfter. Drawn for each request."),
    entry(51, "a crash while recovering", Injected(Fault::CrashAgain), "The same, as a node has just started."),
    entry(52, "the local cache is lost, torn, old", Injected(Fault::Purged), "It is in memory, holds what is written once, begins empty and is told to drop what it has; what it keeps may be torn (25, 26). Half of all worlds have one: ReadKept, ReadJoined."),
    entry(53, "out of memory", LeftOut, "The process ends, which is a crash (50); what is allocated is bounded by what was received (fuzz)."),
    entry(54, "a cloned machine", Weak("weak-clones"), "Nonces come from the operating system, so a clone draws others; nodes that draw the same must go red."),
    entry(55, "two formats during an upgrade", LeftOut, "There is one format; a later one is refused by its version."),
    entry(56, "the budget of requests is exceeded", Injected(Fault::NodeBudget), "Three of four requests of a node are turned away for a while."),
    entry(57, "a regional outage", Injected(Fault::Outage), "Nobody gets through for a while: turned away, silently lost, or performed without a reply. Partition is the same for a node."),
    entry(58, "a reply takes far longer than others", Injected(Fault::Slow), "Up to 10 s, while others write: within the time that a write has, where that is long, or beyond."),
    entry(59, "one namespace of a process crashes, and the process goes on", Injected(Fault::SpaceCrashed), "Over a reply. The process drops all that it was at for it, and begins anew when it is asked."),
    entry(60, "no processor is free", Injected(Fault::Queued), "What computes for long waits for up to a minute, as it begins or when its replies are there, while its time runs; a merge has no turn then: NoTurn."),
    entry(61, "a client gives up and asks again while its request is still worked on", Injected(Fault::GaveUp), "Under its key, if it has one, of another node or of the same."),
    entry(62, "computing takes its time", Injected(Fault::Computed), "What a step that computes for long comes to is known later, by up to a minute; all else goes on."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    #[test]
    fn every_fault_is_in_the_list_under_its_number() {
        let numbers: Vec<u32> = TABLE.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=62).collect::<Vec<_>>());
        assert!(TABLE.iter().all(|entry| !entry.reason.is_empty() && !entry.what.is_empty()));
    }

    #[test]
    fn what_is_tested_elsewhere_is_there_and_weak_stores_are_weak() {
        let files = [
            (S3, include_str!("../../../tests/tests/s3.rs")),
            ("sim/src/store.rs", include_str!("../store.rs")),
        ];
        for entry in TABLE {
            match entry.status {
                Elsewhere(file, test) => {
                    let (_, text) = files.iter().find(|(name, _)| *name == file).expect(file);
                    assert!(text.contains(&format!("fn {test}()")), "{file}: {test}");
                }
                Weak(store) => {
                    let kind = Kind::ALL.into_iter().find(|(name, _)| *name == store);
                    assert!(kind.is_some_and(|(_, kind)| kind.is_weak()), "{store}");
                }
                Injected(_) | Reached(_) | LeftOut => {
                    assert!(entry.count().is_some() != (entry.status == LeftOut));
                }
            }
        }
    }
}
