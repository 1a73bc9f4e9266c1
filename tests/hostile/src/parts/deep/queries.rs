//! Queries of many terms, columns, values, branches and levels.
//! Invariant: each innermost part by itself is a query like any other. Called by `deep`.

fn join(n: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (1..=n).map(item).collect::<Vec<_>>().join(separator)
}

/// Levels of sub-queries in FROM around an innermost query.
fn nested(levels: usize, inner: &str, level: impl Fn(usize, &str) -> String) -> String {
    (1..=levels).fold(inner.to_string(), |query, i| level(i, &query))
}

pub(super) fn queries() -> Vec<(&'static str, String)> {
    let item = "app.item";
    vec![
        ("500 terms", format!("SELECT id, {} AS x FROM {item}", join(500, " + ", |_| "v".into()))),
        ("1600 terms", format!("SELECT id, {} AS x FROM {item}", join(1600, " + ", |_| "v".into()))),
        (
            "1600 terms of an aggregate",
            format!("SELECT g, sum({}) AS x FROM {item} GROUP BY g", join(1600, " + ", |_| "v".into())),
        ),
        (
            "1600 conditions",
            format!("SELECT id FROM {item} WHERE {}", join(1600, " OR ", |i| format!("(v = {i} AND id <> {i})"))),
        ),
        ("1600 values", format!("SELECT id FROM {item} WHERE v IN ({})", join(1600, ", ", |i| i.to_string()))),
        (
            "1600 branches of CASE",
            format!(
                "SELECT id, CASE v {} END AS x FROM {item}",
                join(1600, " ", |i| format!("WHEN {i} THEN {}", i + 1))
            ),
        ),
        ("1600 columns", format!("SELECT id, {} FROM {item}", join(1599, ", ", |i| format!("v + {i} AS c{i}")))),
        ("1601 columns", format!("SELECT id, {} FROM {item}", join(1600, ", ", |i| format!("v + {i} AS c{i}")))),
        (
            "800 aggregates",
            format!("SELECT g, {} FROM {item} GROUP BY g", join(800, ", ", |i| format!("sum(v + {i}) AS c{i}"))),
        ),
        (
            "1590 aggregates",
            format!("SELECT g, {} FROM {item} GROUP BY g", join(1590, ", ", |i| format!("max(v + {i}) AS c{i}"))),
        ),
        ("1600 nested calls", format!("SELECT id, {}v{} AS x FROM {item}", "abs(".repeat(1600), ")".repeat(1600))),
        ("1600 casts", format!("SELECT id, v{} AS x FROM {item}", "::bigint::int".repeat(800))),
        (
            "64 levels",
            nested(64, &format!("SELECT id, v FROM {item}"), |i, q| format!("SELECT id, v + {i} AS v FROM ({q}) q{i}")),
        ),
        (
            "64 levels of filters with LIMIT",
            nested(64, &format!("SELECT id, v FROM {item}"), |i, q| {
                format!("SELECT id, v FROM ({q} ORDER BY id LIMIT {}) q{i}", 1000 - i)
            }),
        ),
        (
            "12 levels of groups",
            nested(12, &format!("SELECT g AS a, v AS b FROM {item}"), |i, q| {
                format!("SELECT a, sum(b)::int AS b FROM ({q}) q{i} GROUP BY a HAVING count(*) > 0")
            }),
        ),
        (
            "12 levels of correlation",
            format!(
                "SELECT id FROM {item} t0 WHERE {}{}",
                join(12, "", |i| format!("EXISTS (SELECT FROM {item} t{i} WHERE t{i}.id = t0.id AND "))
                    + "t12.v >= t0.v",
                ")".repeat(12)
            ),
        ),
        (
            "64 NOTs of EXISTS",
            format!(
                "SELECT id FROM {item} t0 WHERE {}true{}",
                join(64, "", |i| format!("NOT EXISTS (SELECT FROM app.grp t{i} WHERE t{i}.id = t0.g AND ")),
                ")".repeat(64)
            ),
        ),
        (
            "200 branches of UNION ALL",
            join(200, " UNION ALL ", |i| format!("SELECT id, v + {i} AS v FROM {item} WHERE v = {}", i % 7)),
        ),
        ("40 branches of UNION", join(40, " UNION ", |i| format!("SELECT v + {i} AS v FROM {item}"))),
        (
            "64 CTEs",
            format!(
                "WITH c0 AS (SELECT id, v FROM {item}){} SELECT * FROM c64",
                join(64, "", |i| format!(", c{i} AS (SELECT id, v + 1 AS v FROM c{})", i - 1))
            ),
        ),
        (
            "40 joins",
            format!(
                "SELECT t0.id FROM {item} t0 {}",
                join(40, " ", |i| format!("JOIN app.grp t{i} ON t{i}.id = t0.g"))
            ),
        ),
        (
            "30 outer joins",
            format!(
                "SELECT t0.id, t30.name FROM {item} t0 {}",
                join(30, " ", |i| format!("LEFT JOIN app.grp t{i} ON t{i}.id = t0.g"))
            ),
        ),
        ("600 parentheses", format!("SELECT id FROM {item} WHERE {}v > 1{}", "(".repeat(600), ")".repeat(600))),
        (
            "64 nested documents",
            format!(
                "SELECT id, {}to_jsonb(v){} AS d FROM {item}",
                "jsonb_build_object('k', ".repeat(64),
                ")".repeat(64)
            ),
        ),
        (
            "60 scalar sub-queries",
            format!(
                "SELECT id, {} AS x FROM app.grp g",
                join(60, " + ", |i| format!("(SELECT count(*) FROM {item} i WHERE i.g = g.id AND v <> {i})"))
            ),
        ),
        ("a name of 63 letters", format!("SELECT id AS {0}, v AS {0}b FROM {item}", "n".repeat(62))),
        ("a constant of a megabyte", format!("SELECT id, '{}' AS x FROM {item}", "x".repeat(1 << 20))),
    ]
}
