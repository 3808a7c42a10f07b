//! Verdicts on flows judged a short while ago, so that a long list of rules is walked once a flow and not once a packet.

use super::recent::Marks;
use super::{ClassId, Flow, Verdict};

/// A table of fixed size in which the later verdict takes the place of the earlier. It holds what [`super::Access`]
/// would say, and must be cleared when that is another.
pub(crate) struct Verdicts {
    /// A mark of class and flow, never 0 but where the entry is free.
    entries: Vec<(u64, Verdict)>,
    marks: Marks,
}

impl Verdicts {
    /// An empty table of `entries` entries. `seed` is random.
    pub fn new(entries: usize, seed: [u64; 2]) -> Self {
        Self {
            entries: vec![(0, Verdict::Accept(None)); entries],
            marks: Marks::new(seed),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.fill((0, Verdict::Accept(None)));
    }

    /// The verdict on `flow` of a peer of `class`: `judge`'s, now or a while ago.
    pub fn of(&mut self, class: ClassId, flow: &Flow, judge: impl FnOnce() -> Verdict) -> Verdict {
        let mark = self.marks.of(&(class, flow)) | 1;
        // The mark's lowest bit says nothing.
        let place = (mark >> 1) as usize % self.entries.len();
        let entry = &mut self.entries[place];
        if entry.0 != mark {
            *entry = (mark, judge());
        }
        entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches a verdict given to another flow or class, one that outlives its rules, and rules walked for each packet.
    #[test]
    fn verdicts_are_kept_until_they_are_cleared() {
        let flow = |port| Flow {
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            protocol: Some(17),
            ports: Some((port, 53)),
        };
        let mut verdicts = Verdicts::new(1 << 12, [0x9e37_79b9_7f4a_7c15, 2]);
        let said = |class: u32, port: u16| Verdict::Accept(Some(1000 * class as u16 + port));
        for (class, port) in (0..3).flat_map(|class| (0..50).map(move |port| (class, port))) {
            let verdict = verdicts.of(ClassId(class), &flow(port), || said(class, port));
            assert_eq!(verdict, said(class, port));
        }
        let mut walked = 0;
        for (class, port) in (0..3).flat_map(|class| (0..50).map(move |port| (class, port))) {
            let verdict = verdicts.of(ClassId(class), &flow(port), || {
                walked += 1;
                said(class, port)
            });
            assert_eq!(verdict, said(class, port));
        }
        // 150 at random among 4,096 places push out three of each other.
        assert!(walked < 30, "{walked} of 150 were judged again");
        verdicts.clear();
        assert_eq!(verdicts.of(ClassId(0), &flow(1), || said(2, 2)), said(2, 2));
    }
}
