//! The picture: lines that fit the screen, whatever its size.

use super::rates::{PeerRates, Rates};
use crate::term::{Tone, duration, paint, printable};
use weir_abi::status::Health;

/// Eighths of a character's height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Rows that are not shards' or peers': two of numbers, drops, history, two headings, two empty, the last.
const FIXED: usize = 9;

/// Characters before a peer's name ends: what is left of the width beside its other columns.
const PEER_COLUMNS: usize = 2 + 22 + 12 + 12 + 9;

/// What lies behind the picture's moment.
pub struct Context<'a> {
    /// Bits a second in both directions, the oldest first.
    pub history: &'a [u64],
    /// What the control process says is wrong, the gravest first.
    pub alerts: &'a [String],
    /// What a person can do.
    pub hint: &'a str,
}

/// At most `rows` lines of at most `columns` characters.
pub fn lines(rates: &Rates, context: &Context, (columns, rows): (u16, u16), colours: bool) -> Vec<String> {
    let (columns, rows) = (usize::from(columns), usize::from(rows));
    let mut picture = Picture {
        columns,
        colours,
        lines: Vec::new(),
    };
    head(&mut picture, rates);
    picture.line(
        &format!("load      {}", bars(context.history, columns.saturating_sub(10))),
        Tone::Good,
    );
    picture.line("", Tone::Plain);
    let room = rows.saturating_sub(FIXED);
    // Peers are what people look for; shards get what they need up to a third.
    let shards = rates.shards.len().min((room / 3).max(1));
    shard_rows(&mut picture, rates, shards);
    picture.line("", Tone::Plain);
    peer_rows(&mut picture, &rates.peers, room.saturating_sub(shards));
    picture.lines.truncate(rows.saturating_sub(1));
    match context.alerts {
        [] => picture.line(context.hint, Tone::Dim),
        [first, rest @ ..] => {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" (and {} more)", rest.len())
            };
            picture.line(&format!("alert: {first}{more}"), Tone::Bad);
        }
    }
    picture.lines
}

struct Picture {
    columns: usize,
    colours: bool,
    lines: Vec<String>,
}

impl Picture {
    /// Adds a line, cut where the screen ends.
    fn line(&mut self, text: &str, tone: Tone) {
        let cut: String = printable(text).chars().take(self.columns).collect();
        self.lines.push(paint(&cut, tone, self.colours));
    }
}

fn head(picture: &mut Picture, rates: &Rates) {
    let [healthy, idle, degraded] = rates.census;
    picture.line(
        &format!(
            "{}  up {}  peers: {healthy} healthy, {idle} idle, {degraded} degraded",
            rates.interface,
            duration(rates.uptime_s)
        ),
        Tone::Bold,
    );
    picture.line(
        &format!(
            "received  {:>11}b/s {:>10}p/s   sent {:>11}b/s {:>10}p/s   handshakes {}/s",
            scaled(rates.rx_bps),
            scaled(rates.rx_pps),
            scaled(rates.tx_bps),
            scaled(rates.tx_pps),
            rates.handshakes_ps
        ),
        Tone::Plain,
    );
    let reasons: Vec<String> = rates
        .drops
        .iter()
        .map(|(reason, rate)| format!("{reason} {rate}"))
        .collect();
    let (drops, tone) = if rates.drops_ps == 0 {
        ("dropped   none".to_owned(), Tone::Plain)
    } else {
        (
            format!("dropped   {}/s: {}", rates.drops_ps, reasons.join(", ")),
            Tone::Warn,
        )
    };
    picture.line(&drops, tone);
}

fn shard_rows(picture: &mut Picture, rates: &Rates, most: usize) {
    let row = |cells: [&str; 7]| {
        let [shard, peers, opened, sealed, handed, drops, load] = cells;
        format!("{shard:<6}{peers:>7}{opened:>12}{sealed:>12}{handed:>14}{drops:>10}  {load}")
    };
    let heading = [
        "SHARD",
        "PEERS",
        "OPENED/s",
        "SEALED/s",
        "HANDED OVER/s",
        "DROPS/s",
        "LOAD",
    ];
    picture.line(&row(heading), Tone::Dim);
    for shard in rates.shards.iter().take(most) {
        let (load, tone) = if shard.under_load {
            ("cookies demanded", Tone::Warn)
        } else {
            ("normal", Tone::Plain)
        };
        let cells = [
            &shard.shard.to_string(),
            &shard.active_peers.to_string(),
            &scaled(shard.opened_pps),
            &scaled(shard.sealed_pps),
            &scaled(shard.handed_over_pps),
            &shard.drops_ps.to_string(),
            load,
        ];
        picture.line(&row(cells), tone);
    }
}

fn peer_rows(picture: &mut Picture, peers: &[PeerRates], most: usize) {
    let names = picture.columns.saturating_sub(PEER_COLUMNS).clamp(8, 44);
    let row = |cells: [&str; 5]| {
        let [name, rx, tx, health, endpoint] = cells;
        let name: String = printable(name).chars().take(names).collect();
        format!("{name:<names$}{rx:>12}{tx:>12}  {health:<9}{endpoint}")
    };
    picture.line(
        &row(["PEER", "RECEIVED", "SENT", "HEALTH", "ENDPOINT"]),
        Tone::Dim,
    );
    for peer in peers.iter().take(most) {
        let tone = match peer.health {
            Health::Healthy => Tone::Good,
            Health::Idle => Tone::Plain,
            Health::Degraded => Tone::Bad,
        };
        let endpoint = peer
            .endpoint
            .as_deref()
            .or(peer.trouble.as_deref())
            .unwrap_or("-");
        let (rx, tx) = (
            format!("{}b/s", scaled(peer.rx_bps)),
            format!("{}b/s", scaled(peer.tx_bps)),
        );
        picture.line(
            &row([&peer.called(), &rx, &tx, peer.health.name(), endpoint]),
            tone,
        );
    }
}

/// The newest at the right end, the highest as a full bar.
fn bars(history: &[u64], width: usize) -> String {
    let shown = &history[history.len().saturating_sub(width)..];
    let highest = shown.iter().copied().max().unwrap_or(0).max(1);
    let bar = |value: &u64| {
        let eighth = (u128::from(*value) * 7).div_ceil(u128::from(highest));
        BARS[usize::try_from(eighth).unwrap_or(7).min(7)]
    };
    shown.iter().map(bar).collect()
}

/// `1.24 G`, `530 `: in thousands, as the rates of lines are counted (IEEE 802.3).
fn scaled(value: u64) -> String {
    const UNITS: [&str; 4] = ["k", "M", "G", "T"];
    if value < 1000 {
        return format!("{value} ");
    }
    let (mut scaled, mut unit) = (value as f64 / 1000.0, 0);
    while scaled >= 999.995 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{scaled:.2} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::super::rates::ShardRates;
    use super::*;
    use weir_abi::key::PublicKey;

    fn rates(shards: u16, peers: u8) -> Rates {
        let shard = |shard| ShardRates {
            shard,
            active_peers: 1_000_000,
            opened_pps: 1_234_567,
            sealed_pps: 999,
            handed_over_pps: 0,
            handshakes_ps: 1,
            drops_ps: 12,
            under_load: shard == 1,
        };
        let peer = |byte| PeerRates {
            public_key: PublicKey::from_bytes([byte; 32]),
            name: (byte % 2 == 0).then(|| format!("peer \x1b[2J {byte} {}", "x".repeat(60))),
            health: Health::Healthy,
            trouble: None,
            endpoint: Some("[2001:db8:1:2:3:4:5:6]:51820".to_owned()),
            rx_bps: 10_000_000_000,
            tx_bps: 5,
        };
        Rates {
            interface: "weir0".to_owned(),
            uptime_s: 90_000,
            census: [1, 2, 3],
            rx_bps: 1_240_000_000,
            tx_bps: 0,
            rx_pps: 5,
            tx_pps: 6,
            handshakes_ps: 7,
            drops_ps: 12,
            drops: vec![("replayed".to_owned(), 12)],
            shards: (0..shards).map(shard).collect(),
            peers: (0..peers).map(peer).collect(),
        }
    }

    fn drawn(shards: u16, peers: u8, size: (u16, u16)) -> Vec<String> {
        let context = Context {
            history: &[0, 5, 10],
            alerts: &[],
            hint: "q ends it",
        };
        lines(&rates(shards, peers), &context, size, false)
    }

    // Catches lines that wrap and scroll the picture away, on any screen, and commands to the terminal in names.
    #[test]
    fn the_picture_fits_every_screen() {
        for size in [(80, 24), (1, 1), (20, 5), (300, 100), (79, 9), (80, 12)] {
            for (shards, peers) in [(0, 0), (1, 3), (64, 200)] {
                let picture = drawn(shards, peers, size);
                assert!(
                    picture.len() <= usize::from(size.1),
                    "{size:?} {shards} {peers}: {}",
                    picture.len()
                );
                for line in &picture {
                    assert!(line.chars().count() <= usize::from(size.0), "{size:?}: {line:?}");
                    assert!(!line.contains(char::is_control), "{line:?}");
                }
            }
        }
    }

    // Catches a screen of the usual size on which the peers, the shards or the way out are missing.
    #[test]
    fn the_usual_screen_has_it_all() {
        let picture = drawn(2, 200, (80, 24));
        assert_eq!(picture.len(), 24);
        let text = picture.join("\n");
        for part in [
            "weir0  up 1 d 1 h  peers: 1 healthy, 2 idle, 3 degraded",
            "1.24 Gb/s",
            "dropped   12/s: replayed 12",
            "▁▅█",
            "1.23 M",
            "cookies demanded",
            "10.00 Gb/s",
            "q ends it",
        ] {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        let alerts = ["peer x is gone".to_owned(), "another".to_owned()];
        let context = Context {
            history: &[],
            alerts: &alerts,
            hint: "q ends it",
        };
        let picture = lines(&rates(2, 200), &context, (80, 24), false);
        assert_eq!(picture[23], "alert: peer x is gone (and 1 more)");
    }

    #[test]
    fn rates_are_scaled() {
        for (value, text) in [
            (0, "0 "),
            (999, "999 "),
            (1000, "1.00 k"),
            (999_999, "1.00 M"),
            (u64::MAX, "18446744.07 T"),
        ] {
            assert_eq!(scaled(value), text);
        }
    }
}
