-- Exact decimals: rounding and allocation.

CREATE FUNCTION crm_member.allocate(
  amount numeric,
  weights numeric[],
  allocation text DEFAULT 'largest_remainder',
  scale int DEFAULT 2) RETURNS numeric[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_allocate';

COMMENT ON FUNCTION crm_member.allocate(numeric, numeric[], text, int) IS
  'Share an amount of at most scale decimals (0 to 10) over weights (>= 0, up to 10 decimals); the shares sum to it exactly. allocation: largest_remainder (ties to the earlier), first_lines, last_line, running_delta. A zero weight gets zero; a negative amount mirrors the positive one. NULL gives NULL. Errors: 22023 for an unknown policy, a scale out of range, weights that are null, negative, not one-dimensional or all zero; 22003 for NaN, Infinity, too many decimals, overflow';

CREATE FUNCTION crm_member.round_decimal(
  value numeric,
  scale int DEFAULT 2,
  rounding text DEFAULT 'half_up') RETURNS numeric
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_round_decimal';

COMMENT ON FUNCTION crm_member.round_decimal(numeric, int, text) IS
  'Round to scale decimals (0 to 10). rounding: half_up (ties away from zero), half_down (towards zero), half_even, floor (towards minus infinity), ceil (towards plus infinity). NULL gives NULL. Errors: 22023 for an unknown rounding or scale, 22003 for NaN, Infinity or a result beyond 64 bits';
