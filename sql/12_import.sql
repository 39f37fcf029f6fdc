-- Many members from a query or table of the caller.

CREATE FUNCTION crm_member.import_members(
  source text,
  on_conflict text DEFAULT 'reject',
  ref text DEFAULT NULL,
  actor text DEFAULT NULL,
  OUT import_id bigint,
  OUT rows_read bigint,
  OUT rows_imported bigint,
  OUT rows_existing bigint,
  OUT rows_rejected bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_import_members';

COMMENT ON FUNCTION crm_member.import_members(text, text, text, text) IS
  'Register a member for each row of source, which is a query or the name of a table, read with the caller''s rights; its columns are named like the arguments of register_member(). Every row that can be registered is; every other one is in import_error with its number, SQLSTATE and reason. rows_existing were registered before, by (source, external_id) or (source, ref). on_conflict: reject refuses a row whose mobile or e-mail is bound to another member; keep registers it, found by its other identities only, and records a mobile or e-mail that nobody could be found by as it is. Repeating ref returns the first result. Errors: 22004 NULL, 22023 bad on_conflict or no query, 42703 unknown column, 42804 attrs or identities is not jsonb, RM001, and what the query raises';
