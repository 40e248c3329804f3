use proptest::prelude::*;

use super::*;

/// The same shape, said recursively: the left subtree has the largest power of two below `n` leaves.
fn naive(nodes: &[Node]) -> Option<Node> {
    match nodes {
        [] => None,
        [one] => Some(*one),
        _ => {
            let half = nodes.len().next_power_of_two() / 2;
            Node::parent(&naive(&nodes[..half])?, &naive(&nodes[half..])?)
        }
    }
}

fn leaf(number: usize, balance: i64) -> Leaf {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Leaf {
        account: AccountId::from_bytes(id),
        party: PartyId::from_bytes([7; 16]),
        code: Code::OwnerCash,
        balance: Amount(balance),
    }
}

fn check(balances: &[i64]) {
    let mut tree = Leaves::default();
    for (number, balance) in balances.iter().enumerate() {
        tree.put(leaf(number, *balance));
    }
    let all: Vec<Node> =
        tree.leaves.iter().map(|leaf| leaf.node("USD")).collect::<Option<_>>().unwrap();
    let pages = tree.page_roots("USD").unwrap();
    assert_eq!(pages.len(), balances.len().div_ceil(PAGE_LEAVES));
    let expected = naive(&all);
    assert_eq!(root(pages), expected);
    assert_eq!(root(all.clone()), expected);
    let Some(expected) = expected else { return };
    assert_eq!(expected.sum.0, balances.iter().sum::<i64>());
    for position in [0, all.len() / 2, all.len() - 1] {
        let (found, path) = climb(all.clone(), position).unwrap();
        assert_eq!(found, expected);
        assert_eq!(follow(all[position], &path), Some(expected));
        // In two parts: within the page, and over the pages.
        let page = position / PAGE_LEAVES;
        let leaves = tree.pages().nth(page).unwrap().iter();
        let nodes = leaves.map(|leaf| leaf.node("USD")).collect::<Option<_>>().unwrap();
        let (_, mut two) = climb(nodes, position % PAGE_LEAVES).unwrap();
        two.extend(climb(tree.page_roots("USD").unwrap(), page).unwrap().1);
        assert_eq!(two, path);
    }
}

#[test]
fn pages_make_the_tree_over_all_leaves() {
    for count in [0, 1, 2, 3, 1023, 1024, 1025, 2048, 2049, 3000, 5121] {
        let balances: Vec<i64> = (0..count).map(|number| number * 37 % 1_009).collect();
        check(&balances);
    }
}

#[test]
fn nothing_negative_and_nothing_out_of_range_has_a_root() {
    assert_eq!(leaf(1, -1).node("USD"), None);
    let big = leaf(1, i64::MAX).node("USD").unwrap();
    let one = leaf(2, 1).node("USD").unwrap();
    assert_eq!(Node::parent(&big, &one), None);
    let negative = Node { sum: Amount(-1), ..one };
    assert_eq!(Node::parent(&one, &negative), None);
    assert_eq!(Node::parent(&negative, &one), None);
}

#[test]
fn a_leaf_and_a_node_are_told_apart_and_every_field_counts() {
    let base = leaf(1, 5);
    let others = [
        Leaf { account: AccountId::from_bytes([9; 16]), ..base },
        Leaf { party: PartyId::from_bytes([9; 16]), ..base },
        Leaf { code: Code::CustomerWallet, ..base },
        Leaf { balance: Amount(6), ..base },
    ];
    for other in others {
        assert_ne!(other.node("USD"), base.node("USD"));
    }
    assert_ne!(base.node("USD").unwrap().hash, base.node("EUR").unwrap().hash);
    let node = base.node("USD").unwrap();
    assert_ne!(Node::parent(&node, &node).unwrap().hash, node.hash);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_number_of_leaves(balances in prop::collection::vec(0_i64..1 << 40, 0..2_300)) {
        check(&balances);
    }

    /// Accounts come in any order and change: the cached page roots are those of a new tree.
    #[test]
    fn changes_are_as_built_anew(changes in prop::collection::vec((0_usize..3_000, 0_i64..9), 1..300)) {
        let mut tree = Leaves::default();
        let mut known = std::collections::BTreeMap::new();
        for number in 0..2_100 {
            tree.put(leaf(number * 2, 1));
            known.insert(number * 2, 1);
        }
        for (turn, (number, balance)) in changes.into_iter().enumerate() {
            tree.put(leaf(number, balance));
            known.insert(number, balance);
            if turn % 50 == 0 {
                tree.page_roots("USD").unwrap();
            }
        }
        let mut anew = Leaves::default();
        known.into_iter().for_each(|(number, balance)| anew.put(leaf(number, balance)));
        prop_assert_eq!(tree.page_roots("USD"), anew.page_roots("USD"));
    }
}
