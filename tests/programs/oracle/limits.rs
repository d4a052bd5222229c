//! Never more children polled and not ended than the limit allows.

use std::collections::BTreeMap;

use crate::programs::{grammar::All, ledger::Event};

use super::{Complaints, shape::Kind, story::Story};

pub fn check(story: &Story<'_>, complaints: &mut Complaints) {
    for (&group, site) in &story.shape.sites {
        let limit = match site.kind {
            Kind::Group { limit, .. } => limit,
            Kind::Many(All::Mapped { limit, .. }) => Some(limit),
            _ => None,
        };
        let Some(limit) = limit else {
            continue;
        };
        let children = story.shape.sites.iter();
        let children =
            children.filter(|(_, site)| site.parent == Some(group) && site.kind.is_child());
        let mut changes: BTreeMap<usize, i32> = BTreeMap::new();
        for (&child, _) in children {
            let Some(begun) = story.place(child, |event| matches!(event, Event::Polled(_))) else {
                continue;
            };
            *changes.entry(begun).or_default() += 1;
            let last = story.lives_below(child).max().unwrap_or(begun);
            *changes.entry(last).or_default() -= 1;
        }
        let mut living = 0;
        for change in changes.values() {
            living += change;
            if living > i32::from(limit) {
                complaints.push(format!(
                    "{living} children of {group} live, of at most {limit}"
                ));
                break;
            }
        }
    }
}
