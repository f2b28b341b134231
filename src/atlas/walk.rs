//! A walk over the network whose stops are uniform samples of its nodes, whoever has many neighbours.
//!
//! Metropolis-Hastings random walk with delayed acceptance, Algorithm 2 of C.-H. Lee, X. Xu, D. Y. Eun, "Beyond random walk
//! and Metropolis-Hastings samplers: why you should not backtrack for unbiased graph sampling" (SIGMETRICS 2012). With i
//! the current node, k the one before it and d the number of neighbours: a random neighbour j of i is proposed and accepted
//! with probability min(1, d(i)/d(j)). If j is k, another random neighbour l of i takes its place with probability
//!
//! ```text
//! min(1, min(1, (d(i)/d(l))^2) * max(1, (d(k)/d(i))^2))
//! ```
//!
//! The reference has a comma where the paper multiplies, which makes the last term inert.
//!
//! A node that does not answer is a proposal that is rejected: the walk stays where it is. That keeps it unbiased among the
//! nodes that answer, where a restart would favour those near its start.

use super::dice::{Dice, pick};

/// A walk over nodes named by `N`.
#[derive(Debug)]
pub(super) struct Walk<N> {
    current: Option<Stop<N>>,
    previous: Option<(N, usize)>,
    open: Option<Question<N>>,
}

/// A node and its neighbours.
#[derive(Debug, Clone)]
struct Stop<N> {
    node: N,
    neighbours: Vec<N>,
}

/// Whose neighbours are asked for, and why.
#[derive(Debug)]
enum Question<N> {
    /// Where the walk begins, or stays.
    Here(N),
    /// A proposed node.
    Proposed(N),
    /// A node instead of going back to `back`.
    Instead { node: N, back: Stop<N> },
}

impl<N> Question<N> {
    fn node(&self) -> &N {
        match self {
            Self::Here(node) | Self::Proposed(node) | Self::Instead { node, .. } => node,
        }
    }
}

impl<N: Clone + PartialEq> Walk<N> {
    /// A walk that has not begun.
    pub(super) fn new() -> Self {
        Self {
            current: None,
            previous: None,
            open: None,
        }
    }

    /// Where it is; each stop, also one that it stays at, is a sample.
    pub(super) fn current(&self) -> Option<&N> {
        self.current.as_ref().map(|stop| &stop.node)
    }

    /// Whether it waits for somebody's neighbours.
    pub(super) fn waits_for(&self, node: &N) -> bool {
        self.open.as_ref().is_some_and(|open| open.node() == node)
    }

    /// Begins a step: whose neighbours to ask for. `start` is where a walk begins that is nowhere. A question that is still
    /// open is given up.
    pub(super) fn step(&mut self, start: Option<N>, dice: &mut impl Dice) -> Option<N> {
        let question = match &self.current {
            None => Question::Here(start?),
            Some(stop) => match pick(&stop.neighbours, dice) {
                Some(node) => Question::Proposed(node.clone()),
                None => Question::Here(stop.node.clone()),
            },
        };
        let node = question.node().clone();
        self.open = Some(question);
        Some(node)
    }

    /// Takes in the neighbours of a node that was asked for; whose to ask for next within this step.
    pub(super) fn heard(
        &mut self,
        node: &N,
        mut neighbours: Vec<N>,
        dice: &mut impl Dice,
    ) -> Option<N> {
        let question = self.open.take_if(|open| open.node() == node)?;
        neighbours.retain(|neighbour| neighbour != node);
        let stop = Stop {
            node: node.clone(),
            neighbours,
        };
        match question {
            Question::Here(_) => {
                self.current = Some(stop);
                None
            }
            Question::Proposed(_) => self.decide(stop, dice),
            Question::Instead { back, .. } => {
                let goes_on = dice.unit() < self.chance_instead(&stop);
                self.go(if goes_on { stop } else { back });
                None
            }
        }
    }

    /// A node that was asked for did not answer. The step ends where it is; a walk that cannot even stay is nowhere.
    pub(super) fn failed(&mut self, node: &N) {
        match self.open.take_if(|open| open.node() == node) {
            Some(Question::Here(_)) => *self = Self::new(),
            Some(Question::Instead { back, .. }) => self.go(back),
            Some(Question::Proposed(_)) | None => {}
        }
    }

    /// Goes to a proposed node, asks for another one rather than going back, or stays and asks who is near.
    fn decide(&mut self, proposed: Stop<N>, dice: &mut impl Dice) -> Option<N> {
        let current = self.current.clone()?;
        let is_accepted = dice.unit() < ratio(current.neighbours.len(), proposed.neighbours.len());
        if !is_accepted {
            let node = current.node;
            self.open = Some(Question::Here(node.clone()));
            return Some(node);
        }
        let goes_back = self
            .previous
            .as_ref()
            .is_some_and(|(node, _)| *node == proposed.node);
        let mut others = current.neighbours;
        others.retain(|other| *other != proposed.node);
        match pick(&others, dice).filter(|_| goes_back).cloned() {
            Some(node) => {
                let back = proposed;
                let question = Question::Instead {
                    node: node.clone(),
                    back,
                };
                self.open = Some(question);
                Some(node)
            }
            None => {
                self.go(proposed);
                None
            }
        }
    }

    /// With which probability the walk goes to `other` instead of back.
    fn chance_instead(&self, other: &Stop<N>) -> f64 {
        let (Some(current), Some((_, before))) = (&self.current, &self.previous) else {
            return 0.0;
        };
        let here = current.neighbours.len();
        let there = ratio(here, other.neighbours.len()).powi(2).min(1.0);
        let back = ratio(*before, here).powi(2).max(1.0);
        (there * back).min(1.0)
    }

    fn go(&mut self, to: Stop<N>) {
        let from = self.current.replace(to);
        self.previous = from.map(|stop| (stop.node, stop.neighbours.len()));
    }
}

/// The ratio of two degrees. Nobody goes to a node that has no neighbours: there would be no way back.
fn ratio(over: usize, under: usize) -> f64 {
    match under {
        0 => 0.0,
        under => over as f64 / under as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::dice::fixture::Seeded;
    use super::*;

    /// A connected graph of nodes with very different degrees, as lists of neighbours.
    fn graph(nodes: usize, dice: &mut Seeded) -> Vec<Vec<usize>> {
        let mut edges = BTreeSet::new();
        for node in 1..nodes {
            // Early nodes collect neighbours: some have two, some dozens.
            for _ in 0..2 {
                let bound = dice.below(node) + 1;
                let other = dice.below(bound);
                edges.insert((other, node));
            }
        }
        let mut lists = vec![Vec::new(); nodes];
        for (one, other) in edges {
            lists[one].push(other);
            lists[other].push(one);
        }
        lists
    }

    /// Where a walk of `steps` steps ends; one of `dead` nodes does not answer.
    fn end_of_walk(
        lists: &[Vec<usize>],
        dead: &BTreeSet<usize>,
        steps: usize,
        dice: &mut Seeded,
    ) -> usize {
        let mut walk = Walk::new();
        for _ in 0..steps {
            let mut asked = walk.step(Some(0), dice);
            while let Some(node) = asked {
                asked = match dead.contains(&node) {
                    true => {
                        walk.failed(&node);
                        None
                    }
                    false => walk.heard(&node, lists[node].clone(), dice),
                };
            }
        }
        *walk.current().expect("node 0 answers")
    }

    /// Chi-square of `counts` against all being alike, as a deviate of the normal distribution (Wilson and Hilferty).
    fn deviate(counts: &[usize]) -> f64 {
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        let squares = counts.iter().map(|count| (*count as f64 - mean).powi(2));
        let chi_square = squares.sum::<f64>() / mean;
        let free = counts.len() as f64 - 1.0;
        let spread = 2.0 / (9.0 * free);
        ((chi_square / free).cbrt() - (1.0 - spread)) / spread.sqrt()
    }

    /// p > 0.001 for a deviate below this.
    const P_ONE_IN_THOUSAND: f64 = 3.09;

    #[test]
    fn its_samples_are_uniform_whoever_has_many_neighbours() {
        let mut dice = Seeded::new(1);
        let lists = graph(100, &mut dice);
        let degrees = lists.iter().map(Vec::len);
        assert!(degrees.clone().max() > Some(15) && degrees.min() <= Some(2));
        let mut counts = vec![0; lists.len()];
        for _ in 0..5_000 {
            counts[end_of_walk(&lists, &BTreeSet::new(), 200, &mut dice)] += 1;
        }
        assert!(deviate(&counts) < P_ONE_IN_THOUSAND, "{counts:?}");
        // A plain walk goes where neighbours are many.
        let degrees: Vec<usize> = lists.iter().map(|list| list.len() * 100).collect();
        assert!(deviate(&degrees) > 10.0 * P_ONE_IN_THOUSAND);
    }

    #[test]
    fn nodes_that_do_not_answer_leave_the_others_uniform() {
        let mut dice = Seeded::new(2);
        let mut lists = graph(100, &mut dice);
        // The dead ones are neighbours of all, so that the others stay connected.
        let dead: BTreeSet<usize> = (100..120).collect();
        for (node, list) in lists.iter_mut().enumerate() {
            list.extend(dead.iter().filter(|dead| (node * **dead) % 3 == 0));
        }
        let mut counts = vec![0; 100];
        for _ in 0..5_000 {
            counts[end_of_walk(&lists, &dead, 250, &mut dice)] += 1;
        }
        assert!(deviate(&counts) < P_ONE_IN_THOUSAND, "{counts:?}");
    }

    #[test]
    fn a_walk_that_loses_its_place_begins_again() {
        let mut dice = Seeded::new(3);
        let mut walk = Walk::new();
        assert_eq!(walk.step(None, &mut dice), None);
        assert_eq!(walk.step(Some(7), &mut dice), Some(7));
        assert!(walk.waits_for(&7));
        assert_eq!(walk.heard(&8, vec![1], &mut dice), None, "nobody asked 8");
        assert_eq!(walk.heard(&7, vec![7], &mut dice), None);
        assert_eq!(walk.current(), Some(&7));
        assert_eq!(
            walk.step(Some(9), &mut dice),
            Some(7),
            "it has no neighbours"
        );
        walk.failed(&7);
        assert_eq!(walk.current(), None);
        assert_eq!(walk.step(Some(9), &mut dice), Some(9));
    }
}
