//! The model of a peer's keypairs: which of them are previous, current and next after each event.

use weir_noise::limits::REJECT_AFTER_TIME;
use weir_noise::{Index, Instant, Keypairs, Retired, SessionKeys, Slot};

#[derive(Clone, Copy, PartialEq, Debug)]
struct Known {
    local: Index,
    created: Instant,
    /// Whether the other end has shown that it has the keys.
    usable: bool,
}

/// The three places.
#[derive(Default)]
pub(crate) struct Rotation {
    previous: Option<Known>,
    current: Option<Known>,
    next: Option<Known>,
}

impl Rotation {
    pub(crate) fn install(&mut self, keys: &SessionKeys, now: Instant, retired: Retired) {
        let new = Known {
            local: keys.local,
            created: now,
            usable: keys.initiator,
        };
        let gone = if keys.initiator {
            let (previous, current) = (self.previous.take(), self.current.replace(new));
            match self.next.take() {
                Some(next) => {
                    self.previous = Some(next);
                    vec![previous, current]
                }
                None => {
                    self.previous = current;
                    vec![previous]
                }
            }
        } else {
            vec![self.next.replace(new)]
        };
        same(gone, retired);
    }

    pub(crate) fn confirm(&mut self, local: Index, retired: Option<Retired>) {
        let next = self.next.take_if(|next| next.local == local);
        assert_eq!(next.is_some(), retired.is_some());
        if let (Some(next), Some(retired)) = (next, retired) {
            let gone = self.previous.take();
            self.previous = self.current.replace(Known { usable: true, ..next });
            same(vec![gone], retired);
        }
    }

    pub(crate) fn expire(&mut self, now: Instant, retired: Retired) {
        let old = |known: &mut Known| now.since(known.created) >= REJECT_AFTER_TIME;
        let gone = [&mut self.previous, &mut self.current, &mut self.next].map(|place| place.take_if(old));
        same(gone.to_vec(), retired);
    }

    /// What the keypairs are is what the model says; the one that seals is known to the other end.
    pub(crate) fn check(&self, keypairs: &mut Keypairs) {
        let places = [
            (Slot::Current, self.current),
            (Slot::Previous, self.previous),
            (Slot::Next, self.next),
        ];
        let known: Vec<_> = places
            .iter()
            .filter_map(|(slot, known)| Some((*slot, (*known)?)))
            .collect();
        let locals: Vec<Index> = keypairs.locals().collect();
        assert_eq!(
            locals,
            known.iter().map(|(_, known)| known.local).collect::<Vec<_>>()
        );
        for (slot, known) in &known {
            let (found, keypair) = keypairs.by_local(known.local).expect("it was just listed");
            assert_eq!((found, keypair.created()), (*slot, known.created));
        }
        assert!(
            self.current.is_none_or(|current| current.usable),
            "an unconfirmed keypair seals"
        );
        assert_eq!(
            keypairs.current().map(|k| k.local()),
            self.current.map(|k| k.local)
        );
    }
}

/// The same indices, in any order.
fn same(model: Vec<Option<Known>>, retired: Retired) {
    let mut model: Vec<Index> = model.into_iter().flatten().map(|known| known.local).collect();
    let mut real: Vec<Index> = retired.into_iter().collect();
    model.sort_unstable();
    real.sort_unstable();
    assert_eq!(model, real);
}
