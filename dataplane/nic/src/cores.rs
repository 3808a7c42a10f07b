//! Lists of processors as the kernel writes them, such as `0-3,8`.

/// The numbers of a list; `None` where it is none. An empty list is one.
pub(crate) fn parse(list: &str) -> Option<Vec<u32>> {
    // More than any machine has: a broken list makes no memory fill up.
    const NUMBER_MOST: u32 = 1 << 16;
    let mut numbers = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > NUMBER_MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// The reverse, as short as the kernel writes it. `numbers` ascend.
pub fn list(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let shown = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches ranges read without their ends, and lists that would fill the memory.
    #[test]
    fn lists_are_read_and_written() {
        assert_eq!(parse("0-2,8\n"), Some(vec![0, 1, 2, 8]));
        assert_eq!(parse("\n"), Some(Vec::new()));
        assert_eq!(parse("3-1"), None);
        assert_eq!(parse("0-4294967295"), None);
        assert_eq!(parse("x"), None);
        assert_eq!(list(&[0, 1, 2, 8]), "0-2,8");
        assert_eq!(list(&[]), "");
    }
}
