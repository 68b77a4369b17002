//! Pages of a listing against a model: keys sorted as bytes, folded, cut into pages.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::port::ListPage;

/// What a listing tells, page after page.
async fn listed(
    store: &Directory,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = after.map(str::to_owned);
    loop {
        let page = store.list("films", prefix, delimiter, after.as_deref(), limit).await.unwrap();
        let keys = page.objects.iter().map(|object| object.key.clone());
        let mut here: Vec<String> = keys.chain(page.prefixes.iter().cloned()).collect();
        here.sort();
        assert!(here.len() <= limit);
        names.extend(here);
        match page.next {
            None => return names,
            Some(next) => {
                assert_eq!(Some(&next), names.last());
                after = Some(next);
            }
        }
    }
}

fn model(
    keys: &BTreeSet<String>,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<&str>,
) -> Vec<String> {
    let fold = |key: &str| match delimiter.and_then(|by| key[prefix.len()..].split_once(by)) {
        Some((head, _)) => format!("{prefix}{head}{}", delimiter.unwrap()),
        None => key.to_owned(),
    };
    let names: BTreeSet<String> = keys
        .iter()
        .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
        .map(|key| fold(key))
        // A marker that is a folded name stands for all it folds.
        .filter(|name| Some(name.as_str()) != after)
        .collect();
    names.into_iter().collect()
}

#[tokio::test]
async fn pages_of_a_small_bucket() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let keys = ["a", "a-b", "a.b", "a/", "a/b", "a/b/c", "a/c", "ab", "b//c", "z", "é/x"];
    for key in keys {
        put(&store, key, &content(1, 3)).await.unwrap();
    }
    assert_eq!(listed(&store, "", None, None, 2).await, keys);
    assert_eq!(
        listed(&store, "", Some("/"), None, 2).await,
        ["a", "a-b", "a.b", "a/", "ab", "b/", "z", "é/"]
    );
    assert_eq!(listed(&store, "a/", Some("/"), None, 1).await, ["a/", "a/b", "a/b/", "a/c"]);
    assert_eq!(listed(&store, "a/b", None, Some("a/b"), 9).await, ["a/b/c"]);
    assert_eq!(listed(&store, "", Some("/"), Some("a/"), 9).await, ["ab", "b/", "z", "é/"]);
    assert_eq!(listed(&store, "nothing", Some("/"), None, 9).await, [""; 0]);
    let page = store.list("films", "", None, None, 0).await.unwrap();
    assert_eq!(page, ListPage::default());
    let page = store.list("films", "z", None, None, 5).await.unwrap();
    assert_eq!((page.objects[0].size, page.next), (3, None));
}

#[tokio::test]
async fn a_rotten_object_does_not_hide_the_others() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for key in ["a", "b", "c"] {
        put(&store, key, &content(1, 3)).await.unwrap();
    }
    fs::write(root.path().join("buckets/films/b="), "rotten").unwrap();
    assert_eq!(listed(&store, "", None, None, 1).await, ["a", "c"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_listing_is_the_model(
        keys in prop::collection::btree_set("[a-b./-]{1,6}", 0..25),
        prefix in "[a-b/]{0,2}",
        delimiter in prop::option::of(prop::sample::select(vec!["/", "a", "//", "b/"])),
        after in prop::option::of("[a-b./]{1,3}"),
        limit in 1usize..6,
    ) {
        let root = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (found, expected) = runtime.block_on(async {
            let store = open(root.path());
            let keys: BTreeSet<_> =
                keys.into_iter().filter(|key| crate::check_key(key).is_ok()).collect();
            for key in &keys {
                put(&store, key, &content(1, 1)).await.unwrap();
            }
            let found = listed(&store, &prefix, delimiter, after.as_deref(), limit).await;
            (found, model(&keys, &prefix, delimiter, after.as_deref()))
        });
        prop_assert_eq!(found, expected);
    }
}
