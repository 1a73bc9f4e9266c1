-- Changes of a part of a document. See docs/reference/functions.md.

CREATE FUNCTION tviews.jsonb_set_path(target jsonb, path text[], value jsonb, create_if_missing boolean DEFAULT true) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_set_path';
COMMENT ON FUNCTION tviews.jsonb_set_path(jsonb, text[], jsonb, boolean) IS 'the document with a value at a path, as jsonb_set';

CREATE FUNCTION tviews.jsonb_array_insert(target jsonb, path text[], element jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_insert';
COMMENT ON FUNCTION tviews.jsonb_array_insert(jsonb, text[], jsonb) IS 'the document with an element at the end of the array at a path';

CREATE FUNCTION tviews.jsonb_array_insert(target jsonb, path text[], element jsonb, key text, descending boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_insert';
COMMENT ON FUNCTION tviews.jsonb_array_insert(jsonb, text[], jsonb, text, boolean) IS 'the document with an element at its place in the array at a path, which is ordered by a key';

CREATE FUNCTION tviews.jsonb_array_update(target jsonb, path text[], key text, key_value jsonb, element jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_update';
COMMENT ON FUNCTION tviews.jsonb_array_update(jsonb, text[], text, jsonb, jsonb) IS 'the document with an element in the place of those that have a value under a key';

CREATE FUNCTION tviews.jsonb_array_delete(target jsonb, path text[], key text, key_value jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'tviews_jsonb_array_delete';
COMMENT ON FUNCTION tviews.jsonb_array_delete(jsonb, text[], text, jsonb) IS 'the document without the elements that have a value under a key';
