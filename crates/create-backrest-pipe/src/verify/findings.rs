//! What a verification found: the numbers of each service, and the first faults of each kind.

use std::collections::BTreeMap;

use common::contract::verification::{Fault, FaultKind, MOST_FAULTS, Reason, ServiceCounts};
use common::text::escape;

use super::host::Verdict;

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) services: BTreeMap<String, ServiceCounts>,
    pub(super) explained: BTreeMap<Reason, u64>,
    pub(super) faults: Vec<Fault>,
    counts: BTreeMap<(String, FaultKind), u64>,
}

impl Findings {
    pub(super) fn service(&mut self, name: &str) -> &mut ServiceCounts {
        self.services.entry(name.to_string()).or_default()
    }

    /// Adds a fault of a path, or of a dump as it is declared. Of many of one kind in one service only the first are listed.
    pub(super) fn add(&mut self, service: &str, kind: FaultKind, path: &[u8], what: String) {
        self.service(service).unexplained += 1;
        let count = self.counts.entry((service.to_string(), kind)).or_default();
        *count += 1;
        if *count <= MOST_FAULTS {
            let (service, path) = (Some(service.to_string()), Some(escape(path)));
            self.faults.push(Fault { service, kind, path, what });
        }
    }

    pub(super) fn judge(&mut self, service: &str, path: &[u8], verdict: Verdict) {
        match verdict {
            Verdict::Same => self.service(service).in_snapshot += 1,
            Verdict::Explained(reason) => {
                self.service(service).explained += 1;
                *self.explained.entry(reason).or_default() += 1;
            }
            Verdict::Unexplained(kind, what) => self.add(service, kind, path, what),
        }
    }
}
