//! Upserts, patches and deletes by id, together and under conditions.

use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::{Create, RawDocument, WriteRequest};

use crate::choices::{Choices, Site};
use crate::workload::{Drawn, Mix, filters};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.writes * 1_000
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, unique: u64) -> Drawn {
    let mut ids: Vec<u64> = (0..=choices.choose(Site::Workload, 4))
        .map(|_| choices.between(Site::Workload, 1, mix.ids))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut request = begun(mix);
    for id in ids {
        let id = mix.id(id);
        match choices.choose(Site::Workload, 10) {
            0..6 => {
                let attributes = mix.attributes(choices, unique, true);
                request.upserts.get_or_insert_default().push(RawDocument { id, attributes });
            }
            6..8 => {
                let attributes = mix.attributes(choices, unique, false);
                request.patches.get_or_insert_default().push(RawDocument { id, attributes });
            }
            _ => request.deletes.get_or_insert_default().push(id),
        }
    }
    if choices.chance(Site::Workload, mix.conditional) {
        request.upsert_condition = Some(filters::condition(mix, choices));
        request.patch_condition = Some(filters::condition(mix, choices));
        request.delete_condition = Some(mix.filter(choices, 1));
    }
    if choices.chance(Site::Workload, 20) {
        request.create = Create::Never;
    }
    Drawn::Write(request)
}

/// A write that says what there is to say of a namespace.
pub(super) fn begun(mix: &Mix) -> WriteRequest {
    WriteRequest {
        schema: mix.schema(),
        metric: Some(Metric::EuclideanSquared),
        id_type: Some(mix.id_type),
        ..WriteRequest::default()
    }
}
