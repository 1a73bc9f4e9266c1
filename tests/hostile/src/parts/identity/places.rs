//! Where users can put a function into a query, and what may make the server run it.
//! Invariant: a function names itself after the place it is in. Called by `identity`.

/// Queries with the function in each place, named as it names itself: in `{v}` a place is put.
pub(super) const QUERIES: &[(&str, &str)] = &[
    ("list", "SELECT id, ident.who('query.list', v) AS x FROM ident.t"),
    ("constant", "SELECT id, ident.who('query.constant', 7) AS x FROM ident.t"),
    ("filter", "SELECT id FROM ident.t WHERE ident.who('query.where', v) > ident.who('query.where', 2)"),
    (
        "outer",
        "SELECT a.id, b.v FROM ident.t a LEFT JOIN ident.t b ON ident.who('query.on', b.g) = a.id AND ident.who_bool('query.on', true)",
    ),
    (
        "groups",
        "SELECT ident.who('query.group', g) AS g, count(*) FILTER (WHERE ident.who_bool('query.aggfilter', v > 1)) AS n FROM ident.t GROUP BY 1 HAVING count(*) > ident.who('query.having', 0)",
    ),
    (
        "ordered",
        "SELECT id, v FROM ident.t ORDER BY ident.who('query.order', v), id LIMIT ident.who('query.limit', 5) OFFSET ident.who('query.offset', 1)",
    ),
    (
        "lateral",
        "SELECT t.id, l.v FROM ident.t, LATERAL (SELECT u.v FROM ident.t u WHERE u.g = t.id ORDER BY u.v LIMIT ident.who('query.lateral limit', 1)) l",
    ),
    (
        "staged",
        "SELECT g, n FROM (SELECT g, count(DISTINCT ident.who('query.stage', v)) AS n FROM ident.t GROUP BY g HAVING count(*) > ident.who('query.stage', 1)) x WHERE n > ident.who('query.above', 0)",
    ),
    (
        "framed",
        "SELECT id, sum(v) OVER (PARTITION BY ident.who('query.partition', g) ORDER BY id ROWS ident.who('query.frame', 1) PRECEDING) AS s FROM ident.t",
    ),
    (
        "distinct",
        "SELECT DISTINCT ON (ident.who('query.distinct', g)) g, id FROM ident.t ORDER BY ident.who('query.distinct', g), id",
    ),
    ("own", "SELECT g, ident.own_sum(v) AS s FROM ident.t GROUP BY g"),
    (
        "operators",
        "SELECT id, v OPERATOR(ident.+@) 1::bigint AS x, (v::ident.pair)::text AS p, v::ident.small AS s, 5::bigint OPERATOR(ident.+@) 6::bigint AS c FROM ident.t",
    ),
    ("sets", "SELECT t.id, s.x FROM ident.t, ident.who_set('query.set', t.v) s(x)"),
    ("above_view", "SELECT g, sum(v) AS s FROM ident.between GROUP BY g"),
    ("parts", "SELECT k, count(*) AS n FROM ident.parted WHERE ident.who_bool('query.where', k > 0) GROUP BY k"),
    (
        "sublink",
        "SELECT id, (SELECT max(ident.who('query.sublink', u.v)) FROM ident.t u WHERE u.g = t.g) AS m FROM ident.t WHERE v IN (SELECT ident.who('query.in', g) FROM ident.t) OR v > 3",
    ),
    (
        "united",
        "SELECT ident.who('query.union', v) AS v FROM ident.t UNION SELECT ident.who('query.union', id) FROM ident.t",
    ),
    (
        "recursive",
        "WITH RECURSIVE r AS (SELECT ident.who('query.recursive', 1) AS a UNION ALL SELECT a + 1 FROM r WHERE a < 3) SELECT a FROM r",
    ),
    (
        "argued",
        "SELECT g, string_agg(v::text, ',' ORDER BY ident.who('query.aggorder', v)) AS s, percentile_disc(0.5) WITHIN GROUP (ORDER BY ident.who('query.within', v)) AS p FROM ident.t GROUP BY g",
    ),
];

/// Statements that may run them, each as every role: the statement, and the roles that may type it.
pub(super) const ENTRIES: &[(&str, &str)] = &[
    ("write", "INSERT INTO ident.t (id, g, v) VALUES (100, 1, 5)"),
    ("update", "UPDATE ident.t SET v = v + 1"),
    ("parted", "INSERT INTO ident.parted VALUES (5, 5)"),
    ("read", "BEGIN; UPDATE ident.t SET v = v + 1; SELECT count(*) FROM {view}; COMMIT"),
    ("flush", "BEGIN; UPDATE ident.t SET v = v - 1; SELECT tviews.flush(); ROLLBACK"),
    ("verify", "SELECT * FROM tviews.verify('{view}')"),
    ("verify_all", "SELECT * FROM tviews.verify_all()"),
    ("explain", "SELECT * FROM tviews.explain('{view}')"),
    ("rebuild", "SELECT tviews.rebuild('{view}')"),
    ("refresh", "REFRESH MATERIALIZED VIEW {view}"),
    ("health", "SELECT * FROM tviews.health()"),
    ("views", "SELECT count(strategies) FROM tviews.tviews"),
    ("analyze", "ANALYZE ident.t; ANALYZE {view}"),
    ("vacuum", "VACUUM FULL {view}"),
    ("reindex", "REINDEX TABLE {view}"),
    ("mode", "ALTER MATERIALIZED VIEW {view} SET (mode = full); ALTER MATERIALIZED VIEW {view} RESET (mode)"),
    (
        "method",
        "ALTER MATERIALIZED VIEW {view} SET ACCESS METHOD heap; ALTER MATERIALIZED VIEW {view} SET ACCESS METHOD tview",
    ),
];
