//! What drivers answer: who they are, how many channels, how long the rings, which features.

use crate::NicError;
use crate::bytes::{text_at, u32_at, u32s_at};
use crate::sys::{self, Answer, FeatureCount, Question, STRING_BYTES};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::{AsFd as _, OwnedFd};

/// The driver of a device and where the device is (ETHTOOL_GDRVINFO).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DriverInfo {
    /// The driver's name, such as `ice`. TUN and TAP devices have one driver, `tun`, told apart by `bus`.
    pub name: String,
    /// Its version: the kernel's release in most.
    pub version: String,
    /// The firmware's version; empty where there is none.
    pub firmware: String,
    /// The device's place on its bus, such as `0000:03:00.0`; `tun` or `tap` of the driver `tun`; empty where there is
    /// none.
    pub bus: String,
}

/// Queues in pairs and apart, in use and at most (ETHTOOL_GCHANNELS).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Channels {
    /// Queues that receive only.
    pub rx: u32,
    /// Queues that transmit only.
    pub tx: u32,
    /// Queues that do both.
    pub combined: u32,
    /// The most that `rx` may become.
    pub rx_most: u32,
    /// The most that `tx` may become.
    pub tx_most: u32,
    /// The most that `combined` may become.
    pub combined_most: u32,
}

impl Channels {
    /// How many queues receive.
    pub fn receiving(&self) -> u32 {
        self.combined.saturating_add(self.rx)
    }

    /// How many queues transmit.
    pub fn transmitting(&self) -> u32 {
        self.combined.saturating_add(self.tx)
    }

    /// How many queues could receive: the driver decides whether pairs and others may be had at once.
    pub fn receiving_most(&self) -> u32 {
        self.combined_most.max(self.rx_most)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // `other` lies between, fourth of each half: queues for nothing that carries packets.
        Some(Self {
            rx_most: u32_at(bytes, 4)?,
            tx_most: u32_at(bytes, 8)?,
            combined_most: u32_at(bytes, 16)?,
            rx: u32_at(bytes, 20)?,
            tx: u32_at(bytes, 24)?,
            combined: u32_at(bytes, 32)?,
        })
    }
}

/// Descriptors of each queue's ring (ETHTOOL_GRINGPARAM).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rings {
    /// Of a receive ring.
    pub rx: u32,
    /// Of a transmit ring.
    pub tx: u32,
    /// The most that `rx` may become.
    pub rx_most: u32,
    /// The most that `tx` may become.
    pub tx_most: u32,
}

impl Rings {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            rx_most: u32_at(bytes, 4)?,
            tx_most: u32_at(bytes, 16)?,
            rx: u32_at(bytes, 20)?,
            tx: u32_at(bytes, 32)?,
        })
    }
}

impl DriverInfo {
    fn parse(bytes: &[u8]) -> Option<Self> {
        // Software devices write this where they have nothing to say.
        let said = |text: String| if text == "N/A" { String::new() } else { text };
        Some(Self {
            name: text_at(bytes, 4, 32)?,
            version: text_at(bytes, 36, 32)?,
            firmware: said(text_at(bytes, 68, 32)?),
            bus: said(text_at(bytes, 100, 32)?),
        })
    }
}

/// The features that are on, by the names that `ethtool -k` takes too, such as `rx-gro-hw` (ETHTOOL_GFEATURES).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Features(Vec<Feature>);

/// One feature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feature {
    /// The kernel's name for it (net/ethtool/common.c), such as `rx-vlan-hw-parse`.
    pub name: String,
    /// Whether it is on.
    pub on: bool,
    /// Whether it can be switched.
    pub switchable: bool,
}

impl FromIterator<Feature> for Features {
    fn from_iter<T: IntoIterator<Item = Feature>>(features: T) -> Self {
        Self(features.into_iter().collect())
    }
}

impl Features {
    /// Whether the feature is on; `None` where this kernel has none of that name.
    pub fn on(&self, name: &str) -> Option<bool> {
        self.of(name).map(|feature| feature.on)
    }

    /// Whether the feature is on and can be switched off.
    pub fn can_go_off(&self, name: &str) -> bool {
        self.of(name)
            .is_some_and(|feature| feature.on && feature.switchable)
    }

    /// All that this kernel names.
    pub fn all(&self) -> &[Feature] {
        &self.0
    }

    fn of(&self, name: &str) -> Option<&Feature> {
        self.0.iter().find(|feature| feature.name == name)
    }

    /// From `struct ethtool_gstrings` and `struct ethtool_gfeatures`, of which the latter has for each 32 features four
    /// words: available, requested, active, never to be changed.
    fn parse(names: &[u8], states: &[u8], count: usize) -> Option<Self> {
        let blocks = usize::try_from(u32_at(states, 4)?).ok()?;
        let words = u32s_at(states, 8, blocks.checked_mul(4)?)?;
        let mut features = Vec::with_capacity(count);
        for number in 0..count {
            let name = text_at(
                names,
                number.checked_mul(STRING_BYTES)?.checked_add(12)?,
                STRING_BYTES,
            )?;
            let block = words.get(number / 32 * 4..)?.first_chunk::<4>()?;
            let bit = |word: u32| word >> (number % 32) & 1 != 0;
            let [available, _, active, fixed] = block.map(bit);
            let feature = Feature {
                name,
                on: active,
                switchable: available && !fixed,
            };
            // A number without a name is one that this kernel does not use.
            if !feature.name.is_empty() {
                features.push(feature);
            }
        }
        Some(Self(features))
    }
}

/// A line to one device's driver.
pub(crate) struct Ethtool<'a> {
    socket: OwnedFd,
    name: &'a str,
}

impl<'a> Ethtool<'a> {
    /// To the device of that name in the thread's network namespace.
    pub(crate) fn open(name: &'a str) -> Result<Self, NicError> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        );
        let socket = socket.map_err(NicError::Socket)?;
        Ok(Self { socket, name })
    }

    /// The answer; `None` where the driver has none.
    pub(crate) fn ask(&self, question: Question) -> Result<Option<Answer>, NicError> {
        match sys::ask(self.socket.as_fd(), self.name, question) {
            Ok(answer) => Ok(Some(answer)),
            Err(Errno::ENODEV) => Err(NicError::NoSuchDevice(self.name.to_owned())),
            // Drivers refuse in many ways what they do not have.
            Err(_) => Ok(None),
        }
    }

    fn parsed<T>(
        &self,
        question: Question,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, NicError> {
        Ok(self.ask(question)?.and_then(|answer| parse(answer.bytes())))
    }

    pub(crate) fn driver(&self) -> Result<Option<DriverInfo>, NicError> {
        self.parsed(Question::Driver, DriverInfo::parse)
    }

    pub(crate) fn channels(&self) -> Result<Option<Channels>, NicError> {
        self.parsed(Question::Channels, Channels::parse)
    }

    pub(crate) fn rings(&self) -> Result<Option<Rings>, NicError> {
        self.parsed(Question::Rings, Rings::parse)
    }

    pub(crate) fn features(&self) -> Result<Option<Features>, NicError> {
        let Some(count) = self
            .ask(Question::FeatureCount)?
            .and_then(|answer| FeatureCount::of_answer(&answer))
        else {
            return Ok(None);
        };
        let names = self.ask(Question::FeatureNames(count))?;
        let states = self.ask(Question::FeatureStates(count))?;
        let (Some(names), Some(states)) = (names, states) else {
            return Ok(None);
        };
        let count = usize::try_from(count.get()).unwrap_or(0);
        Ok(Features::parse(names.bytes(), states.bytes(), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    // Catches two fields taken for each other, and `other` for one of ours.
    #[test]
    fn channels_and_rings_are_read_field_by_field() {
        let bytes = words(&[0x3c, 8, 9, 1, 10, 2, 3, 1, 4]);
        let channels = Channels::parse(&bytes).unwrap();
        let expected = Channels {
            rx: 2,
            tx: 3,
            combined: 4,
            rx_most: 8,
            tx_most: 9,
            combined_most: 10,
        };
        assert_eq!(channels, expected);
        assert_eq!(
            (
                channels.receiving(),
                channels.transmitting(),
                channels.receiving_most()
            ),
            (6, 7, 10)
        );
        let rings = Rings::parse(&words(&[0x10, 4096, 0, 0, 2048, 512, 0, 0, 256])).unwrap();
        let expected = Rings {
            rx: 512,
            tx: 256,
            rx_most: 4096,
            tx_most: 2048,
        };
        assert_eq!(rings, expected);
        for length in 0..bytes.len() {
            assert_eq!(Channels::parse(&bytes[..length]), None, "{length}");
        }
    }

    // Catches features read from a neighbouring word, block or bit, and blocks that are not there.
    #[test]
    fn features_are_the_bits_of_their_numbers() {
        let mut names = words(&[0x1b, 4, 34]);
        for number in 0..34 {
            let mut name = match number {
                5 => Vec::new(),
                n => format!("feature-{n}").into_bytes(),
            };
            name.resize(STRING_BYTES, 0);
            names.extend(name);
        }
        // Number 1 is on and may go off; 2 is on for good; 33 is on in the second block.
        let states = words(&[0x3a, 2, 0b110, 0, 0b110, 0b100, 0b10, 0, 0b10, 0]);
        let features = Features::parse(&names, &states, 34).unwrap();
        assert_eq!(features.all().len(), 33);
        assert_eq!(features.on("feature-0"), Some(false));
        assert_eq!(features.on("feature-5"), None);
        assert!(features.can_go_off("feature-1") && features.can_go_off("feature-33"));
        assert!(!features.can_go_off("feature-2") && features.on("feature-2") == Some(true));
        for length in 0..states.len() {
            assert_eq!(Features::parse(&names, &states[..length], 34), None, "{length}");
        }
        assert_eq!(Features::parse(&names[..names.len() - 1], &states, 34), None);
    }

    // Catches names that run into the next field.
    #[test]
    fn the_driver_is_read_up_to_each_zero() {
        let mut bytes = vec![0; 196];
        bytes[4..36].fill(b'x');
        bytes[36..40].copy_from_slice(b"6.1\0");
        bytes[68..71].copy_from_slice(b"N/A");
        bytes[100..112].copy_from_slice(b"0000:03:00.0");
        let driver = DriverInfo::parse(&bytes).unwrap();
        assert_eq!(driver.name, "x".repeat(32));
        assert_eq!(
            (&*driver.version, &*driver.firmware, &*driver.bus),
            ("6.1", "", "0000:03:00.0")
        );
        assert_eq!(DriverInfo::parse(&bytes[..131]), None);
    }
}
