-- Merging members, and undoing it.

CREATE FUNCTION crm_member.merge_members(
  survivor bigint,
  others bigint[],
  ref text DEFAULT NULL,
  policy jsonb DEFAULT '{}',
  dry_run boolean DEFAULT false,
  actor text DEFAULT NULL)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_merge_members';

COMMENT ON FUNCTION crm_member.merge_members(bigint, bigint[], text, jsonb, boolean, text) IS
  'Merge members into one, any number at once, and report it: merge_id, survivor, merged, families, what moved, totals before and after, tiers (granted to each, recomputed for all, held), conflicts (rows of one key, and whose counts), golden (the member each field comes from), evidence. Nobody is deleted: the others become aliases of the survivor, which identities, cards and old numbers find from now on. survivor NULL: who is found by a mobile, then who joined first, then the lowest number; a merged member stands for its survivor. policy: {"fields": {field: rule}, "cards": "keep" or "deactivate" (those of the merged members cannot be used), "coupons": "keep", "void" (unused ones of templates with member_limit 1 that somebody of them got later) or an array of template codes, "override_distinct": true}; table merge_policy where it does not say; a field is a column of person, joined_at, tier, attrs.<key> or a group of table merge_field, which has the rules for whoever says none; a rule is survivor, earliest, latest, longest, frequent, min, max, trusted (see merge_source), verified (a mobile or e-mail bound last) or the number of a member. dry_run: the same report, nothing written. Members that are one already: merge_id NULL, nothing written. Repeating a ref returns the first report. Errors: 22004 NULL, 22023 bad policy, RM001, RM101 unknown member, RM102 cancelled member, RM611 judged different, RM612 totals would change, RM614 consumer and dealer, RM615 what stands against it';

CREATE FUNCTION crm_member.unmerge(
  merge_id bigint,
  ref text DEFAULT NULL,
  policy jsonb DEFAULT '{}',
  actor text DEFAULT NULL,
  dry_run boolean DEFAULT false)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_unmerge';

COMMENT ON FUNCTION crm_member.unmerge(bigint, text, jsonb, text, boolean) IS
  'Undo a merge at any time, also one in the middle of others: afterwards everything is as the other live merges alone say. Rows of a member go back with it, what was done with the survivor stays there; points go back to whose they were, less what was spent of them since. The members are judged different for ever. policy: {"negative": "allow" (default) | "survivor" | "refuse", what happens where debt exceeds what comes back; "only": [members of this merge to take out]; "reason": text}. Reports unmerge_id, merge_id, undone, families, what moved, totals, negative balances, since_merge. Undone already: unmerge_id NULL, nothing written. Repeating a ref returns the first report. Errors: 22004 NULL, 22023 bad policy, RM001, RM610 unknown merge, RM612 totals would change, RM613 negative balance refused';
