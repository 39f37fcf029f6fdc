-- Text as it is compared, and the search for duplicates.

CREATE FUNCTION crm_member.normalizer_version() RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalizer_version';

COMMENT ON FUNCTION crm_member.normalizer_version() IS
  'Version of the normalisation: own tables, then ICU. Keys made by another version must be made anew';

CREATE FUNCTION crm_member.normalize_name(text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_name';

COMMENT ON FUNCTION crm_member.normalize_name(text) IS
  'A name as it is compared: NFKC casefold, Han simplified and without blanks, honorific, remark and trailing sign; Latin words in small plain letters. A hidden character is *. NULL where nothing legible is left. Depends on normalizer_version(), hence STABLE';

CREATE FUNCTION crm_member.normalize_phone(text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_phone';

COMMENT ON FUNCTION crm_member.normalize_phone(text) IS
  'A telephone number as it is compared: 11 digits of a mainland mobile (a relay number keeps -extension), otherwise digits, with + before those of another country. NULL for what is no number, is partly hidden, or is a placeholder such as 13800138000';

CREATE FUNCTION crm_member.normalize_email(text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_email';

COMMENT ON FUNCTION crm_member.normalize_email(text) IS
  'An e-mail address as the mailbox behind it: casefolded, without +tag, Gmail without dots, common typing errors of domains corrected. NULL for what is no address or a placeholder such as no@no.com. Depends on normalizer_version(), hence STABLE';

CREATE PROCEDURE crm_member.find_duplicates(model text DEFAULT 'member')
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_find_duplicates';

COMMENT ON PROCEDURE crm_member.find_duplicates(text) IS
  'Compare the records of a match_model and write duplicate_pair, duplicate_cluster and match_run, in place of what the last run wrote; verdicts stay and bind. Errors: RM601 unknown model, 22023 bad fields, 22004 a key is null';
