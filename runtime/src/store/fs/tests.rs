//! What crashes and flipped bits leave of a register, and how files keep their names apart.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::format::{
    BLOCK, FILE_MARK_AT, FileHeader, FileKind, SETTLED, SLOT_MARK_AT, SlotHeader, register_content,
    slot_at,
};
use super::*;

/// A folder that ends with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("sana-store-{:032x}", crate::entropy::seed())))
    }

    fn open(&self) -> Folder {
        Folder::open(&self.0).unwrap()
    }

    fn file(&self, key: &str) -> File {
        let path = self.0.join(Place::of(&Key::new(key)).path());
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    /// Writes into the file of a register, as a crash or a bad disk would.
    fn scribble(&self, key: &str, at: u64, bytes: &[u8]) {
        self.file(key).write_all_at(bytes, at).unwrap();
    }

    fn flip(&self, key: &str, at: u64) {
        let mut byte = [0];
        self.file(key).read_exact_at(&mut byte, at).unwrap();
        self.scribble(key, at, &[byte[0] ^ 0x10]);
    }

    fn copy(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.0.join(Place::of(&Key::new(key)).path())).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ask(folder: &Folder, request: &Request) -> Reply {
    perform(folder, request).unwrap_or_else(|fault| fault.reply(request))
}

fn write(folder: &Folder, key: &str, body: &[u8], when: When) -> Reply {
    ask(folder, &Request::Put { key: Key::new(key), body: Blob::from(body.to_vec()), when })
}

fn create(folder: &Folder, key: &str, body: &[u8]) -> Tag {
    stored(write(folder, key, body, When::Absent))
}

fn change(folder: &Folder, key: &str, body: &[u8]) -> Tag {
    stored(write(folder, key, body, When::Matches(read(folder, key).0)))
}

fn stored(reply: Reply) -> Tag {
    let Reply::Stored { tag } = reply else { panic!("{reply:?}") };
    tag
}

fn read(folder: &Folder, key: &str) -> (Tag, Vec<u8>) {
    match ask(folder, &Request::get(Key::new(key))) {
        Reply::Found { tag, body } => (tag, body.as_slice().to_vec()),
        reply => panic!("{reply:?}"),
    }
}

fn fault(folder: &Folder, key: &str) -> Fault {
    perform(folder, &Request::get(Key::new(key))).unwrap_err()
}

const A: u64 = slot_at(0, BLOCK);
const B: u64 = slot_at(1, BLOCK);
const MARK: u64 = SLOT_MARK_AT as u64;

#[test]
fn a_write_in_place_keeps_the_file_and_the_version_before() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let first = create(&folder, "r", b"one");
    let inode = scratch.file("r").metadata().unwrap().ino();
    let second = change(&folder, "r", b"two");
    assert_ne!(first, second);
    assert_eq!(scratch.file("r").metadata().unwrap().ino(), inode);
    assert_eq!(read(&folder, "r"), (second, b"two".to_vec()));
    assert_eq!(&scratch.copy("r")[A as usize + 24..][..3], b"one");
}

#[test]
fn a_write_cut_short_anywhere_leaves_one_of_both_versions() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "r", &[1; 3000]);
    change(&folder, "r", &[2; 3000]);
    let before = scratch.copy("r");
    change(&folder, "r", &[3; 3000]);
    let mut after = scratch.copy("r");
    after[(A + MARK) as usize..][..4].fill(0);
    // Any of the eight sectors of the slot may have been written or not.
    let mut seen = [0; 2];
    for sectors in 0..256_usize {
        let mut torn = before.clone();
        for sector in (0..8).filter(|sector| sectors >> sector & 1 == 1) {
            let part = A as usize + sector * 512..A as usize + (sector + 1) * 512;
            torn[part.clone()].copy_from_slice(&after[part]);
        }
        scratch.scribble("r", 0, &torn);
        let (tag, body) = read(&folder, "r");
        assert!(body == [2; 3000] || body == [3; 3000], "sectors {sectors:08b}");
        seen[usize::from(body[0]) - 2] += 1;
        assert_eq!(read(&folder, "r").0, tag);
        let next = change(&folder, "r", b"next");
        assert!(read(&folder, "r") == (next, b"next".to_vec()), "sectors {sectors:08b}");
    }
    assert_eq!(seen, [252, 4], "the body ends in the sixth sector; the last two are padding");
}

#[test]
fn a_version_whose_writer_died_before_the_mark_is_settled_by_its_first_reader() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "r", b"one");
    let tag = change(&folder, "r", b"two");
    assert_eq!(scratch.copy("r")[(B + MARK) as usize..][..4], SETTLED);
    scratch.scribble("r", B + MARK, &[0; 4]);
    assert_eq!(read(&folder, "r"), (tag, b"two".to_vec()));
    assert_eq!(scratch.copy("r")[(B + MARK) as usize..][..4], SETTLED);
}

#[test]
fn a_large_version_whose_writer_died_before_the_mark_is_settled_too() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "a/r", b"one");
    let tag = change(&folder, "a/r", &vec![7; 200_000]);
    scratch.scribble("a/r", FILE_MARK_AT as u64, &[0; 4]);
    assert_eq!(read(&folder, "a/r"), (tag, vec![7; 200_000]));
    assert_eq!(scratch.copy("a/r")[FILE_MARK_AT..][..4], SETTLED);
}

#[test]
fn a_slot_voided_after_a_failed_write_leaves_the_version_before() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "r", b"one");
    let tag = change(&folder, "r", b"two");
    let nonce = FileHeader::decode(&scratch.copy("r")).unwrap().nonce;
    scratch.scribble("r", A, &SlotHeader::VOID.encode(nonce));
    assert_eq!(read(&folder, "r"), (tag, b"two".to_vec()));
    change(&folder, "r", b"three");
    assert_eq!(read(&folder, "r").1, b"three");
}

#[test]
fn no_flipped_bit_of_a_durable_version_brings_the_older_one_back() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "r", b"one");
    let tag = change(&folder, "r", b"two");
    let whole = scratch.copy("r");
    let newest = (0..32).chain(A..A + 20).chain(B..B + 27);
    let mut damaged = 0;
    for at in newest {
        scratch.flip("r", at);
        match perform(&folder, &Request::get(Key::new("r"))) {
            Ok(Reply::Found { tag: found, body }) => {
                assert_eq!((found, body.as_slice()), (tag.clone(), &b"two"[..]), "byte {at}");
            }
            Err(Fault::Damaged { .. }) => damaged += 1,
            other => panic!("byte {at}: {other:?}"),
        }
        scratch.scribble("r", 0, &whole);
    }
    assert_eq!(damaged, 32 + 20 + 23, "all but the mark, which is mended");
    assert_eq!(read(&folder, "r").1, b"two");
}

#[test]
fn a_damaged_register_is_neither_missing_nor_free_and_its_error_names_the_file() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let tag = create(&folder, "heads/R", b"one");
    scratch.flip("heads/R", A + 24);
    assert!(fault(&folder, "heads/R").to_string().contains("heads/%52@"));
    assert_eq!(ask(&folder, &Request::get(Key::new("heads/R"))), Reply::Unreadable);
    assert_eq!(write(&folder, "heads/R", b"two", When::Absent), Reply::Refused);
    let list = Request::List { prefix: Key::new("heads/"), after: None, limit: 9 };
    assert!(matches!(ask(&folder, &list), Reply::Listed { objects, .. } if objects.len() == 1));
    // Whoever still knows the version replaces it whole, and that mends the file.
    assert!(matches!(write(&folder, "heads/R", b"two", When::Matches(tag)), Reply::Stored { .. }));
    assert_eq!(read(&folder, "heads/R").1, b"two");
    scratch.scribble("heads/R", 0, &[0; 32]);
    assert_eq!(ask(&folder, &Request::get(Key::new("heads/R"))), Reply::Unreadable);
    for when in [When::Absent, When::Fresh, When::Matches(Tag::new("any"))] {
        assert_eq!(write(&folder, "heads/R", b"three", when), Reply::Refused);
    }
    assert_eq!(ask(&folder, &Request::Delete { key: Key::new("heads/R") }), Reply::Deleted);
    assert_eq!(ask(&folder, &Request::get(Key::new("heads/R"))), Reply::Missing);
}

#[test]
fn zeroed_slots_and_truncated_files_are_damage() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "r", b"one");
    scratch.scribble("r", B, &[0; BLOCK]);
    assert!(matches!(fault(&folder, "r"), Fault::Damaged { .. }));
    for bytes in [0, 31, BLOCK as u64, B] {
        scratch.file("r").set_len(bytes).unwrap();
        assert!(matches!(fault(&folder, "r"), Fault::Damaged { .. }), "{bytes} bytes");
    }
}

#[test]
fn versions_that_do_not_follow_one_another_are_damage() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    create(&folder, "r", b"one");
    change(&folder, "r", b"two");
    let second = scratch.copy("r")[B as usize..].to_vec();
    change(&folder, "r", b"three");
    change(&folder, "r", b"four");
    change(&folder, "r", b"five");
    // A disk that answered and dropped the fourth version still shows the second.
    scratch.scribble("r", B, &second);
    assert!(fault(&folder, "r").to_string().contains("5 and 2"));
}

#[test]
fn a_register_grows_into_larger_slots_and_then_into_a_whole_file_and_back() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let mut tags = vec![create(&folder, "r", b"")];
    for bytes in [4_072, 4_073, 10, 8_168, 130_000, 200_000, 300_000, 5, 6] {
        let body = vec![bytes as u8; bytes];
        tags.push(change(&folder, "r", &body));
        assert_eq!(read(&folder, "r"), (tags[tags.len() - 1].clone(), body));
    }
    let count = tags.len();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), count, "S1: no tag comes back");
    assert_eq!(scratch.file("r").metadata().unwrap().len(), 3 * BLOCK as u64);
    assert_eq!(std::fs::read_dir(scratch.0.join(".tmp")).unwrap().count(), 0);
}

#[test]
fn a_writer_who_waited_for_a_replaced_file_looks_at_the_new_one() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let tag = create(&folder, "r", b"one");
    let old = scratch.file("r");
    old.lock().unwrap();
    let other = scratch.open();
    let waiting = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| write(&other, "r", b"two", When::Matches(tag)));
        // Another process replaces the file while it has it locked.
        let draft = scratch.0.join("draft");
        std::fs::write(&draft, scratch.copy("r")).unwrap();
        std::fs::rename(&draft, scratch.0.join("r@")).unwrap();
        drop(old);
        waiting.join().unwrap()
    });
    stored(waiting);
    assert_eq!(read(&folder, "r").1, b"two", "the write is in the file that has the name");
}

#[test]
fn a_deleted_and_recreated_object_has_another_tag() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let before = create(&folder, "a/r", b"one");
    assert_eq!(ask(&folder, &Request::Delete { key: Key::new("a/r") }), Reply::Deleted);
    assert!(!scratch.0.join("a").exists(), "an empty directory goes with its last object");
    let after = create(&folder, "a/r", b"one");
    assert_ne!(before, after);
    assert_eq!(write(&folder, "a/r", b"two", When::Matches(before)), Reply::Refused);
}

#[test]
fn a_directory_removed_by_another_process_is_made_again() {
    let scratch = Scratch::new();
    let (folder, other) = (scratch.open(), scratch.open());
    create(&folder, "a/b/r", b"one");
    assert_eq!(ask(&other, &Request::Delete { key: Key::new("a/b/r") }), Reply::Deleted);
    assert!(!scratch.0.join("a").exists());
    create(&folder, "a/b/r", b"two");
    assert_eq!(read(&other, "a/b/r").1, b"two");
}

#[test]
fn drafts_of_the_dead_are_swept_and_drafts_of_the_living_are_not() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let left = scratch.0.join(".tmp/left");
    std::fs::write(&left, b"half").unwrap();
    drop(scratch.open());
    assert!(left.exists(), "somebody has the folder open");
    drop(folder);
    let folder = scratch.open();
    assert!(!left.exists());
    let list = Request::List { prefix: Key::new(""), after: None, limit: 9 };
    assert_eq!(ask(&folder, &list), Reply::Listed { objects: vec![], more: false });
}

#[test]
fn a_folder_that_takes_no_files_turns_writes_away() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    std::fs::remove_dir(scratch.0.join(".tmp")).unwrap();
    assert_eq!(write(&folder, "r", b"one", When::Absent), Reply::Throttled);
    assert_eq!(ask(&folder, &Request::get(Key::new("r"))), Reply::Missing);
}

#[test]
fn a_glance_answers_like_a_reader_or_not_at_all() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let get = Request::get(Key::new("r"));
    assert!(matches!(at_once(&folder, &get), None | Some(Reply::Missing)));
    create(&folder, "r", b"one");
    change(&folder, "r", b"two");
    assert_eq!(at_once(&folder, &get), Some(ask(&folder, &get)), "it lies in the cache");
    let file = scratch.file("r");
    file.lock().unwrap();
    assert_eq!(at_once(&folder, &get), None, "a writer is at the file");
    file.unlock().unwrap();
    scratch.scribble("r", B + MARK, &[0; 4]);
    assert_eq!(at_once(&folder, &get), None, "the version may not be durable");
    ask(&folder, &get);
    assert!(at_once(&folder, &get).is_some());
    scratch.flip("r", B + 24);
    assert_eq!(at_once(&folder, &get), None, "damage is for those who report it");
    create(&folder, "large", &vec![7; 200_000]);
    assert_eq!(at_once(&folder, &Request::get(Key::new("large"))), None, "it takes long");
}

#[test]
fn a_glance_leaves_to_others_what_is_not_in_the_cache() {
    let scratch = Scratch::new();
    let folder = scratch.open();
    let get = Request::get(Key::new("r"));
    create(&folder, "r", b"one");
    rustix::fs::fadvise(scratch.file("r"), 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let glance = at_once(&folder, &get);
    assert!(glance.is_none() || glance == Some(ask(&folder, &get)), "{glance:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bytes here were laid out by hand, after the picture of the format.
#[test]
fn files_have_the_bytes_that_are_kept() {
    let nonce = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
    let settled = FileHeader { nonce, kind: FileKind::Whole { settled: true } };
    let whole = FileHeader { nonce, kind: FileKind::Whole { settled: false } };
    let expected = "53414e4166696c65000102030405060708090a0b0c0d0e0f00000000604df216";
    assert_eq!(hex(&whole.encode()), expected);
    assert_eq!(hex(&settled.encode()), expected.replace("00000000", "6b657074"));
    let body = b"body";
    let register = register_content(nonce, BLOCK, body, crc32fast::hash(body));
    let parts = [
        (0, "53414e4172656773000102030405060708090a0b0c0d0e0f001000002f3c3287"),
        (BLOCK, "010000000000000004000000b20ba8db9e03e96f00000000626f6479"),
        (2 * BLOCK, "00000000000000000000000000000000b8c83a8900000000"),
    ];
    let mut laid_out = vec![0; 3 * BLOCK];
    for (at, part) in parts {
        let found = &register[at..at + part.len() / 2];
        assert_eq!(hex(found), part);
        laid_out[at..at + found.len()].copy_from_slice(found);
    }
    assert_eq!(register, laid_out, "the rest is zero");
}
