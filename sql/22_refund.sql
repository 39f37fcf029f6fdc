-- Refunds.

CREATE FUNCTION crm_member.refund(refund jsonb) RETURNS jsonb
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_refund';

COMMENT ON FUNCTION crm_member.refund(jsonb) IS
  'Take goods back: {"ref","source","sale_ref","lines":[{"line_no","quantity"}]}, with "sale_source" (else source), "refunded_at" (else now; booked no earlier than the sale), "shipping" to give back, "reason" and "actor". A line without quantity, and a refund without "lines", is all that is left; an empty list is no line, so that shipping alone comes back. Gives back the share of each line in amount and discount, takes back the points that share earned, gives back the share of points and stored value that paid; in any order and number of parts it ends at exactly zero. The same (source, ref) with the same document returns the first answer. NULL for NULL. Errors: 22023 malformed document, 22003 number out of range, 22007 or 22008 refunded_at is no moment in time, RM001 (source, ref) used for another refund, RM201 unknown sale, RM203 more than was sold and not refunded yet, RM204 sale not settled yet, RM305 refused deficit of points';
