//! Merges of segments whose contents are wrong under checksums that are right: somebody wrote them so.

use super::*;

use crate::base::id::{AttributeId, Row, Stamp};
use crate::base::value::{Id, IdType, ScalarType, Type};
use crate::format::frame::Damage;
use crate::format::layout::{Family, ObjectName};
use crate::format::rows::RowSet;
use crate::format::segment::SegmentWriter;
use crate::format::segment::writer::Bounds;
use crate::ops::read::ReadError;

/// A segment that is to be wrong.
struct Written<'a> {
    column: Option<(AttributeId, Type)>,
    /// The ids of the rows, in order.
    rows: &'a [Id],
    /// Where ids stand.
    stand: &'a [(Id, u32)],
}

impl World {
    /// Adds a segment as it is.
    fn add(&mut self, written: &Written<'_>) {
        let base = self.snapshot.live().manifest.next_row;
        let (rows_max, end) = (written.rows.len() as u64, Row(base.0 + written.rows.len() as u64));
        let kind = match written.rows.first() {
            Some(Id::String(_)) => IdType::String,
            _ => IdType::Uint,
        };
        let mut writer = SegmentWriter::begin(Bounds { base, end, rows_max, records_max: 0 }, kind);
        if let Some((attribute, value_type)) = written.column {
            writer.column(attribute, value_type);
            written.rows.iter().for_each(|_| writer.value(None));
        }
        for (id, number) in written.rows.iter().zip(base.0..) {
            writer.document(Row(number), id);
        }
        for (id, position) in written.stand {
            writer.id(id, *position);
        }
        let (parts, draft) = writer.finish(&RowSet::default());
        let mut nonces = self.nonces();
        let mut name = || ObjectName { stamp: Stamp(1), nonce: nonces.draw() };
        let place = self.snapshot.place.clone();
        let names: Vec<_> = parts.iter().map(|_| name()).collect();
        for (name, part) in names.iter().zip(parts) {
            self.objects.insert(place.object(Family::Segment, *name), part);
        }
        let (segment, _) = draft.named(&place, &names);
        self.change(|live, _| {
            live.manifest.live_rows += u64::from(segment.rows);
            live.manifest.next_row = segment.end;
            live.manifest.segments.push(segment);
        });
    }

    /// Merges all, and says what is wrong.
    fn wrong(&mut self) -> Damage {
        let all = 0..self.snapshot.directories.len();
        match self.merge_with(all, WINDOW, |_, _| None).0 {
            Err(ReadError::Damaged(bad)) => bad.damage,
            other => panic!("{other:?}"),
        }
    }
}

const NOTHING: Written<'static> = Written { column: None, rows: &[], stand: &[] };
const TWO: [Id; 2] = [Id::Uint(1), Id::Uint(2)];

#[test]
fn a_row_whose_id_stands_nowhere_stops_a_merge() {
    let mut world = World::new();
    world.add(&Written { rows: &TWO, stand: &[(Id::Uint(2), 1)], ..NOTHING });
    assert_eq!(world.wrong(), Damage::Content("its ids are not those of its rows"));
}

#[test]
fn an_id_that_stands_behind_the_last_row_stops_a_merge() {
    let mut world = World::new();
    world.add(&Written { rows: &TWO, stand: &[(Id::Uint(1), 0), (Id::Uint(2), 2)], ..NOTHING });
    assert_eq!(world.wrong(), Damage::Content("an id stands where there is no row"));
}

#[test]
fn an_id_that_stands_in_two_segments_stops_a_merge() {
    let mut world = World::new();
    for _ in 0..2 {
        world.add(&Written { rows: &TWO, stand: &[(Id::Uint(1), 0), (Id::Uint(2), 1)], ..NOTHING });
    }
    assert_eq!(world.wrong(), Damage::Content("an id stands twice"));
}

#[test]
fn segments_that_do_not_agree_on_types_are_not_merged() {
    let stand = [(Id::Uint(1), 0), (Id::Uint(2), 1)];
    let number =
        |kind| Written { column: Some((NUMBER, Type::Scalar(kind))), rows: &TWO, stand: &stand };
    let text = [Id::String("a".into())];
    let text_stands = [(text[0].clone(), 0)];
    let texts = Written { rows: &text, stand: &text_stands, ..NOTHING };
    let other = Damage::Content("S1: an attribute has another type before");

    let mut attributes = World::new();
    attributes.add(&number(ScalarType::Int));
    attributes.add(&number(ScalarType::Float));
    assert_eq!(attributes.wrong(), other);

    let mut ids = World::new();
    ids.add(&number(ScalarType::Int));
    ids.add(&texts);
    assert_eq!(ids.wrong(), other);

    // Where there are no documents nothing is said of ids.
    let mut none = World::new();
    none.add(&NOTHING);
    none.add(&texts);
    none.add(&NOTHING);
    assert!(none.merge_with(0..3, WINDOW, |_, _| None).0.is_ok());
}
