//! Which pieces fit: pure, by value per byte. Called by `context` alone.

/// A piece of text that is taken whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The section it stands in; the first piece taken of a section pays for its heading.
    pub section: usize,
    /// How much it is worth; only the order of quotients matters.
    pub value: u32,
    /// Its length.
    pub bytes: usize,
    /// True when it is taken whatever it costs, before all others.
    pub must: bool,
}

/// Chooses pieces whose bytes, headings included, stay within `budget`: first those that must be, in their order, as far as
/// they fit, then by value per byte, equal ones in their order. Nothing that was left out would have fitted beside the rest.
/// `headings` holds the length of each section's heading. Returns one flag for each piece; O(n log n).
pub fn choose(budget: usize, headings: &[usize], pieces: &[Piece]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by(|&left, &right| {
        let (a, b) = (&pieces[left], &pieces[right]);
        let by_density = || (u128::from(b.value) * a.bytes.max(1) as u128).cmp(&(u128::from(a.value) * b.bytes.max(1) as u128));
        let by_worth = if a.must { std::cmp::Ordering::Equal } else { by_density() };
        b.must.cmp(&a.must).then(by_worth).then(left.cmp(&right))
    });
    let mut taken = vec![false; pieces.len()];
    let mut opened = vec![false; headings.len()];
    let mut left = budget;
    // A heading that is paid for makes its section's other pieces cheaper, so what did not fit may fit in a second walk.
    loop {
        let mut grown = false;
        for &index in &order {
            let piece = &pieces[index];
            let heading = if opened[piece.section] { 0 } else { headings[piece.section] };
            if !taken[index] && piece.bytes + heading <= left {
                left -= piece.bytes + heading;
                opened[piece.section] = true;
                taken[index] = true;
                grown = true;
            }
        }
        if !grown {
            return taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(section: usize, value: u32, bytes: usize, must: bool) -> Piece {
        Piece { section, value, bytes, must }
    }

    fn cost(headings: &[usize], pieces: &[Piece], taken: &[bool]) -> usize {
        let text: usize = pieces.iter().zip(taken).filter(|(_, taken)| **taken).map(|(piece, _)| piece.bytes).sum();
        let used = |section: &usize| pieces.iter().zip(taken).any(|(piece, taken)| *taken && piece.section == *section);
        text + (0..headings.len()).filter(used).map(|section| headings[section]).sum::<usize>()
    }

    #[test]
    fn worth_by_the_byte_decides() {
        let pieces = [piece(0, 10, 100, false), piece(0, 9, 10, false), piece(0, 1, 10, false), piece(0, 10, 95, false)];
        assert_eq!(choose(120, &[5], &pieces), [false, true, true, true]);
    }

    #[test]
    fn what_must_be_comes_first() {
        let pieces = [piece(0, 1000, 50, false), piece(1, 1, 80, true)];
        assert_eq!(choose(100, &[10, 10], &pieces), [false, true]);
    }

    #[test]
    fn the_limits_themselves() {
        assert_eq!(choose(0, &[], &[]), [false; 0]);
        assert_eq!(choose(15, &[5], &[piece(0, 1, 10, false)]), [true], "exactly full");
        assert_eq!(choose(14, &[5], &[piece(0, 1, 10, true)]), [false], "one byte short");
    }

    fn sections() -> impl Strategy<Value = (Vec<usize>, Vec<Piece>)> {
        prop::collection::vec(0..40_usize, 1..6).prop_flat_map(|headings| {
            let piece = (0..headings.len(), 0..100_u32, 0..400_usize, prop::bool::weighted(0.1));
            let piece = piece.prop_map(|(section, value, bytes, must)| Piece { section, value, bytes, must });
            (Just(headings), prop::collection::vec(piece, 0..40))
        })
    }

    proptest! {
        #[test]
        fn never_beyond_the_budget_and_never_less_than_would_fit((headings, pieces) in sections(), budget in 0..3_000_usize) {
            let taken = choose(budget, &headings, &pieces);
            let used = cost(&headings, &pieces, &taken);
            prop_assert!(used <= budget);
            for index in 0..pieces.len() {
                if !taken[index] {
                    let mut more = taken.clone();
                    more[index] = true;
                    prop_assert!(cost(&headings, &pieces, &more) > budget, "piece {index} would have fitted");
                }
            }
        }

        #[test]
        fn all_of_it_when_there_is_room((headings, pieces) in sections()) {
            let all = cost(&headings, &pieces, &vec![true; pieces.len()]);
            prop_assert_eq!(choose(all, &headings, &pieces), vec![true; pieces.len()]);
        }

        #[test]
        fn what_must_be_is_there_when_it_fits((headings, pieces) in sections(), budget in 0..3_000_usize) {
            let must: Vec<bool> = pieces.iter().map(|piece| piece.must).collect();
            prop_assume!(cost(&headings, &pieces, &must) <= budget);
            let taken = choose(budget, &headings, &pieces);
            prop_assert!(must.iter().zip(&taken).all(|(must, taken)| !must || *taken));
        }

        #[test]
        fn equal_input_gives_equal_choice((headings, pieces) in sections(), budget in 0..3_000_usize) {
            prop_assert_eq!(choose(budget, &headings, &pieces), choose(budget, &headings, &pieces));
        }
    }
}
