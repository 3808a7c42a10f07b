//! In which mode AF_XDP is to be expected there, and why.

use super::{Subject, offloads, queues};
use crate::doctor::Finding;
use weir_config::PortMode;
use weir_nic::KernelVersion;
use weir_nic::driver::ZeroCopy;

/// What is to be expected, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Mode {
    ZeroCopy,
    Driver,
    Generic,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Driver => "copying in the driver",
            Self::Generic => "generic",
        }
    }
}

struct Expected {
    mode: Mode,
    why: String,
    /// What would make it better; empty where nothing is known.
    mend: String,
}

pub fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let expected = expected(subject);
    let mut findings = vec![finding(subject, &expected)];
    findings.extend(restarts(subject, expected.mode));
    if let Some(driver) = subject.driver().filter(|driver| !driver.remark.is_empty()) {
        let what = format!("{}: {}: {}", subject.name(), driver.name, driver.remark);
        findings.push(Finding::ok(what));
    }
    findings
}

fn finding(subject: &Subject<'_>, expected: &Expected) -> Finding {
    let wanted = match subject.mode() {
        PortMode::Auto => None,
        PortMode::ZeroCopy => Some((Mode::ZeroCopy, "zero-copy")),
        PortMode::Driver => Some((Mode::Driver, "driver")),
        PortMode::Generic => Some((Mode::Generic, "generic")),
    };
    let name = subject.name();
    let what = format!(
        "{name}: AF_XDP mode to expect: {}; {}",
        expected.mode.name(),
        expected.why
    );
    if let Some((_, asked)) = wanted.filter(|(wanted, _)| *wanted < expected.mode) {
        let mend = match expected.mend.as_str() {
            "" => "mode = \"auto\" in [[port]]".to_owned(),
            mend => format!("{mend}; or mode = \"auto\" in [[port]]"),
        };
        return Finding::bad(
            format!("{what}; mode = \"{asked}\" is asked for"),
            "the gateway refuses to start",
            mend,
        );
    }
    let cost = match expected.mode {
        Mode::ZeroCopy => return Finding::ok(what),
        Mode::Driver => "each packet is copied once",
        Mode::Generic => "the kernel makes a packet of its own of each frame first, and copies it then",
    };
    Finding::warn(what, cost, expected.mend.clone())
}

fn expected(subject: &Subject<'_>) -> Expected {
    let (nic, name) = (subject.nic, subject.driver_name());
    let told = nic.xdp;
    let native = match (told, subject.driver()) {
        (Some(told), _) => told.basic && told.redirect,
        (None, Some(driver)) => driver.native,
        // A driver that nobody has heard of, on a kernel that does not say.
        (None, None) => false,
    };
    // Bonds announce what their ports can do, but a bond's socket gets no frame that a port's driver has redirected.
    if !native || subject.made_of_others() {
        return without_native(subject);
    }
    let reasons = refusals(subject);
    if !reasons.is_empty() {
        return Expected {
            mode: Mode::Generic,
            why: format!(
                "{name} refuses XDP programs as the device is now: {}",
                reasons.join(", ")
            ),
            mend: "see below".to_owned(),
        };
    }
    let kernel = subject.host.kernel.unwrap_or(KernelVersion(0, 0));
    let by_table = subject.driver().is_some_and(|driver| driver.zero_copy_in(kernel));
    let zero_copy = told.map_or(by_table, |told| told.zero_copy);
    if !zero_copy {
        return without_zero_copy(subject, kernel);
    }
    let condition = match subject.driver().map(|driver| driver.zero_copy) {
        Some(ZeroCopy::Since(_, condition)) if !condition.is_empty() => condition,
        Some(_) | None => "",
    };
    match nic.virtio_access_platform() {
        Some(false) => Expected {
            mode: Mode::Driver,
            why: format!("{name} can do without copying, but the hypervisor does not let it"),
            mend: condition.to_owned(),
        },
        Some(true) => zero_copied(name, ""),
        None => zero_copied(name, condition),
    }
}

/// Why the driver refuses a program; each reason has a finding of its own.
fn refusals(subject: &Subject<'_>) -> Vec<&'static str> {
    let reasons = [
        (offloads::longest(subject).is_some(), "its MTU"),
        (offloads::merges(subject), "merged packets"),
        (queues::refused(subject), "its queues"),
    ];
    let found = reasons.iter().filter(|(there, _)| *there);
    found.map(|(_, reason)| *reason).collect()
}

fn without_native(subject: &Subject<'_>) -> Expected {
    let name = subject.driver_name();
    let could = subject.driver().is_some_and(|driver| driver.native) && !subject.made_of_others();
    let (why, mend) = match (subject.nic.xdp, subject.driver()) {
        (Some(_), _) if could => (
            format!("the kernel says that {name} runs no XDP programs as the device is now"),
            "",
        ),
        (None, None) => (
            format!("neither this kernel says whether {name} runs XDP programs, nor does Weir know"),
            "mode = \"driver\" in [[port]] tries it",
        ),
        (Some(_), _) | (None, Some(_)) => (format!("{name} runs no XDP programs for it"), ""),
    };
    Expected {
        mode: Mode::Generic,
        why,
        mend: mend.to_owned(),
    }
}

fn zero_copied(name: &str, condition: &str) -> Expected {
    let why = match condition {
        "" => format!("{name} has it in this kernel"),
        condition => format!("{name} has it in this kernel ({condition})"),
    };
    Expected {
        mode: Mode::ZeroCopy,
        why,
        mend: String::new(),
    }
}

fn without_zero_copy(subject: &Subject<'_>, kernel: KernelVersion) -> Expected {
    let name = subject.driver_name();
    let since = match subject.driver().map(|driver| driver.zero_copy) {
        Some(ZeroCopy::Since(since, condition)) => Some((since, condition)),
        Some(ZeroCopy::Never) | None => None,
    };
    let (why, mend) = match since {
        Some((since, _)) if kernel < since => (
            format!("{name} has zero-copy since kernel {since}, and this is {kernel}"),
            format!("kernel {since} or newer, such as Debian's backport"),
        ),
        Some((_, condition)) => (
            format!("the kernel says that {name} cannot do without copying here"),
            condition.to_owned(),
        ),
        None => (format!("{name} has no zero-copy"), String::new()),
    };
    Expected {
        mode: Mode::Driver,
        why,
        mend,
    }
}

fn restarts(subject: &Subject<'_>, mode: Mode) -> Option<Finding> {
    let restarts = subject.driver().is_some_and(|driver| driver.attaching_restarts);
    let what = format!(
        "{}: {} restarts the device when the gateway starts and ends; the link is down for a moment",
        subject.name(),
        subject.driver_name()
    );
    (restarts && mode != Mode::Generic).then(|| Finding::ok(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use crate::doctor::device::tests::{card, judged_mode};
    use weir_nic::XdpFeatures;

    const CAN: XdpFeatures = XdpFeatures {
        basic: true,
        redirect: true,
        transmit: false,
        zero_copy: true,
        several_buffers: false,
    };

    fn judge(nic: &weir_nic::Nic, kernel: KernelVersion, mode: PortMode) -> Finding {
        judged_mode(nic, kernel, mode, |subject| findings(subject).remove(0))
    }

    // Catches the table believed over the kernel, and the kernel's word missed where it gives none.
    #[test]
    fn the_kernel_is_believed_before_the_table() {
        let mut nic = card("igb");
        let old = judge(&nic, KernelVersion(6, 1), PortMode::Auto);
        assert_eq!(old.level, Level::Warn);
        assert!(
            old.what
                .contains("igb has zero-copy since kernel 6.14, and this is 6.1"),
            "{old:?}"
        );
        nic.xdp = Some(CAN);
        assert_eq!(judge(&nic, KernelVersion(6, 12), PortMode::Auto).level, Level::Ok);
        nic.xdp = Some(XdpFeatures {
            zero_copy: false,
            ..CAN
        });
        let told = judge(&nic, KernelVersion(6, 18), PortMode::Auto);
        assert!(
            told.what.contains("copying in the driver; the kernel says"),
            "{told:?}"
        );
        nic.xdp = Some(XdpFeatures { basic: false, ..CAN });
        assert!(
            judge(&nic, KernelVersion(6, 18), PortMode::Auto)
                .what
                .contains("generic")
        );
    }

    // Catches a mode asked for that cannot be had and is not called bad, and a worse one refused.
    #[test]
    fn a_mode_asked_for_is_had_or_bad() {
        let nic = card("ena");
        let kernel = KernelVersion(6, 1);
        let bad = judge(&nic, kernel, PortMode::ZeroCopy);
        assert_eq!(
            (bad.level, &*bad.mend),
            (Level::Bad, "mode = \"auto\" in [[port]]")
        );
        assert_eq!(judge(&nic, kernel, PortMode::Driver).level, Level::Warn);
        assert_eq!(judge(&nic, kernel, PortMode::Generic).level, Level::Warn);
    }

    // Catches zero-copy promised on a virtio device whose hypervisor does not offer what it takes.
    #[test]
    fn virtio_needs_its_hypervisor() {
        let mut nic = card("virtio_net");
        nic.xdp = Some(CAN);
        nic.virtio_features = Some(1 << 33);
        assert_eq!(judge(&nic, KernelVersion(7, 2), PortMode::Auto).level, Level::Ok);
        nic.virtio_features = Some(0);
        let without = judge(&nic, KernelVersion(7, 2), PortMode::Auto);
        assert!(
            without.mend.contains("iommu_platform=on") && without.level == Level::Warn,
            "{without:?}"
        );
    }

    // Catches a mode promised that the driver refuses until something else is mended.
    #[test]
    fn what_the_driver_refuses_leaves_generic_mode() {
        let mut nic = card("ena");
        nic.link.mtu = 9001;
        nic.rx_queues = 8;
        nic.channels = Some(weir_nic::Channels {
            combined: 8,
            combined_most: 8,
            ..weir_nic::Channels::default()
        });
        let refused = judge(&nic, KernelVersion(6, 1), PortMode::Driver);
        assert_eq!(refused.level, Level::Bad);
        assert!(
            refused.what.contains("as the device is now: its MTU, its queues"),
            "{refused:?}"
        );
    }

    // Catches a bond that announces its ports' abilities taken at its word.
    #[test]
    fn bonds_are_generic() {
        let mut nic = card("bonding");
        nic.xdp = Some(CAN);
        nic.link.kind = Some("bond".into());
        assert!(
            judge(&nic, KernelVersion(7, 2), PortMode::Auto)
                .what
                .contains("generic")
        );
    }
}
