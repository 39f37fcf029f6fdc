-- The condition language, as a type.

CREATE TYPE crm_member.condition;

CREATE FUNCTION crm_member.condition_in(cstring) RETURNS crm_member.condition
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_in';

COMMENT ON FUNCTION crm_member.condition_in(cstring) IS
  'Input of type condition; a timestamp without offset is in the session''s time zone. Errors: 22P02 with token, position and hint; 54000 when too large (1 MB) or nested deeper than 100';

CREATE FUNCTION crm_member.condition_out(crm_member.condition) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_out';

COMMENT ON FUNCTION crm_member.condition_out(crm_member.condition) IS
  'Output of type condition: the canonical text, which reads back as the same condition under any setting';

CREATE FUNCTION crm_member.condition_recv(internal) RETURNS crm_member.condition
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_recv';

COMMENT ON FUNCTION crm_member.condition_recv(internal) IS
  'Binary input of type condition: its text, checked like any other';

CREATE FUNCTION crm_member.condition_send(crm_member.condition) RETURNS bytea
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_send';

COMMENT ON FUNCTION crm_member.condition_send(crm_member.condition) IS
  'Binary output of type condition: its canonical text';

CREATE TYPE crm_member.condition (
  INPUT = crm_member.condition_in,
  OUTPUT = crm_member.condition_out,
  RECEIVE = crm_member.condition_recv,
  SEND = crm_member.condition_send,
  INTERNALLENGTH = VARIABLE,
  ALIGNMENT = double,
  STORAGE = extended
);

COMMENT ON TYPE crm_member.condition IS
  'A boolean expression over attributes of member, sale and line, parsed and checked when it is stored, printed canonically';

-- Equality is that of the canonical text; the order only serves sorting and indexes.

CREATE FUNCTION crm_member.condition_cmp(crm_member.condition, crm_member.condition) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_cmp';
CREATE FUNCTION crm_member.condition_lt(crm_member.condition, crm_member.condition) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_lt';
CREATE FUNCTION crm_member.condition_le(crm_member.condition, crm_member.condition) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_le';
CREATE FUNCTION crm_member.condition_eq(crm_member.condition, crm_member.condition) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_eq';
CREATE FUNCTION crm_member.condition_ne(crm_member.condition, crm_member.condition) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_ne';
CREATE FUNCTION crm_member.condition_ge(crm_member.condition, crm_member.condition) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_ge';
CREATE FUNCTION crm_member.condition_gt(crm_member.condition, crm_member.condition) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_gt';
CREATE FUNCTION crm_member.condition_hash(crm_member.condition) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_hash';
CREATE FUNCTION crm_member.condition_hash_extended(crm_member.condition, bigint) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_condition_hash_extended';

COMMENT ON FUNCTION crm_member.condition_cmp(crm_member.condition, crm_member.condition) IS
  'Order of conditions for btree indexes: negative, 0 or positive';
COMMENT ON FUNCTION crm_member.condition_lt(crm_member.condition, crm_member.condition) IS
  'Implementation of < operator';
COMMENT ON FUNCTION crm_member.condition_le(crm_member.condition, crm_member.condition) IS
  'Implementation of <= operator';
COMMENT ON FUNCTION crm_member.condition_eq(crm_member.condition, crm_member.condition) IS
  'Implementation of = operator: same canonical text';
COMMENT ON FUNCTION crm_member.condition_ne(crm_member.condition, crm_member.condition) IS
  'Implementation of <> operator';
COMMENT ON FUNCTION crm_member.condition_ge(crm_member.condition, crm_member.condition) IS
  'Implementation of >= operator';
COMMENT ON FUNCTION crm_member.condition_gt(crm_member.condition, crm_member.condition) IS
  'Implementation of > operator';
COMMENT ON FUNCTION crm_member.condition_hash(crm_member.condition) IS
  'Hash of a condition';
COMMENT ON FUNCTION crm_member.condition_hash_extended(crm_member.condition, bigint) IS
  'Hash of a condition with a seed';

CREATE OPERATOR crm_member.< (
  LEFTARG = crm_member.condition, RIGHTARG = crm_member.condition,
  FUNCTION = crm_member.condition_lt, COMMUTATOR = OPERATOR(crm_member.>),
  NEGATOR = OPERATOR(crm_member.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR crm_member.<= (
  LEFTARG = crm_member.condition, RIGHTARG = crm_member.condition,
  FUNCTION = crm_member.condition_le, COMMUTATOR = OPERATOR(crm_member.>=),
  NEGATOR = OPERATOR(crm_member.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR crm_member.= (
  LEFTARG = crm_member.condition, RIGHTARG = crm_member.condition,
  FUNCTION = crm_member.condition_eq, COMMUTATOR = OPERATOR(crm_member.=),
  NEGATOR = OPERATOR(crm_member.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR crm_member.<> (
  LEFTARG = crm_member.condition, RIGHTARG = crm_member.condition,
  FUNCTION = crm_member.condition_ne, COMMUTATOR = OPERATOR(crm_member.<>),
  NEGATOR = OPERATOR(crm_member.=), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR crm_member.>= (
  LEFTARG = crm_member.condition, RIGHTARG = crm_member.condition,
  FUNCTION = crm_member.condition_ge, COMMUTATOR = OPERATOR(crm_member.<=),
  NEGATOR = OPERATOR(crm_member.<), RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR crm_member.> (
  LEFTARG = crm_member.condition, RIGHTARG = crm_member.condition,
  FUNCTION = crm_member.condition_gt, COMMUTATOR = OPERATOR(crm_member.<),
  NEGATOR = OPERATOR(crm_member.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);

COMMENT ON OPERATOR crm_member.< (crm_member.condition, crm_member.condition) IS 'before in index order';
COMMENT ON OPERATOR crm_member.<= (crm_member.condition, crm_member.condition) IS 'before or equal in index order';
COMMENT ON OPERATOR crm_member.= (crm_member.condition, crm_member.condition) IS 'same canonical text';
COMMENT ON OPERATOR crm_member.<> (crm_member.condition, crm_member.condition) IS 'other canonical text';
COMMENT ON OPERATOR crm_member.>= (crm_member.condition, crm_member.condition) IS 'after or equal in index order';
COMMENT ON OPERATOR crm_member.> (crm_member.condition, crm_member.condition) IS 'after in index order';

CREATE OPERATOR CLASS crm_member.condition_ops DEFAULT FOR TYPE crm_member.condition USING btree AS
  OPERATOR 1 crm_member.<,
  OPERATOR 2 crm_member.<=,
  OPERATOR 3 crm_member.=,
  OPERATOR 4 crm_member.>=,
  OPERATOR 5 crm_member.>,
  FUNCTION 1 crm_member.condition_cmp(crm_member.condition, crm_member.condition);

CREATE OPERATOR CLASS crm_member.condition_hash_ops DEFAULT FOR TYPE crm_member.condition USING hash AS
  OPERATOR 1 crm_member.=,
  FUNCTION 1 crm_member.condition_hash(crm_member.condition),
  FUNCTION 2 crm_member.condition_hash_extended(crm_member.condition, bigint);

COMMENT ON OPERATOR CLASS crm_member.condition_ops USING btree IS 'conditions in an order of no meaning';
COMMENT ON OPERATOR CLASS crm_member.condition_hash_ops USING hash IS 'conditions by equality';
COMMENT ON OPERATOR FAMILY crm_member.condition_ops USING btree IS 'conditions in an order of no meaning';
COMMENT ON OPERATOR FAMILY crm_member.condition_hash_ops USING hash IS 'conditions by equality';

CREATE FUNCTION crm_member.condition_attributes(
  OUT attribute text, OUT type text, OUT description text) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'crm_condition_attributes';

COMMENT ON FUNCTION crm_member.condition_attributes() IS
  'The attributes a condition can name, with type (number, text, boolean, date, timestamp) and meaning';

CREATE FUNCTION crm_member.days_to_birthday(birthday date, day date) RETURNS int
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_days_to_birthday';

COMMENT ON FUNCTION crm_member.days_to_birthday(date, date) IS
  'Days from a day to the nearest birthday: 0 on it, below 0 after it; the 29th of February is kept on the 28th in a common year. NULL for NULL and infinity';

CREATE FUNCTION crm_member.condition_sql(condition crm_member.condition) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_sql';

COMMENT ON FUNCTION crm_member.condition_sql(crm_member.condition) IS
  'The condition as an SQL expression over row aliases member, sale and line, whose columns are named like the attributes (attrs jsonb, member.tags text[]): true, false or null exactly where the condition is. NULL gives NULL';

CREATE FUNCTION crm_member.condition_matches(condition crm_member.condition, facts jsonb) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_matches';

COMMENT ON FUNCTION crm_member.condition_matches(crm_member.condition, jsonb) IS
  'Is the condition true of facts such as {"member": {"tier": "gold", "attrs": {}, "tags": ["vip"]}, "sale": {"amount": 100}, "line": {}}? What is absent or null is unknown; NULL where the condition is unknown, which is no match. Errors: 22023 for an unknown key or a value of the wrong type, 22003 for a number out of range';

CREATE FUNCTION crm_member.condition_explain(
  condition crm_member.condition, facts jsonb,
  OUT matched boolean, OUT clause text, OUT saw text) RETURNS record
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_condition_explain';

COMMENT ON FUNCTION crm_member.condition_explain(crm_member.condition, jsonb) IS
  'condition_matches(), and where it is not true the first clause that alone keeps it from being true and the value it saw ("unknown" for none). clause and saw are NULL where it is true. Errors as condition_matches()';
