-- Sales: the till's calls, and the triggers behind the bulk path.

CREATE FUNCTION crm_member.quote(sale jsonb) RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_quote';

COMMENT ON FUNCTION crm_member.quote(jsonb) IS
  'What checkout() of this sale document would answer now; writes nothing. NULL for NULL. Errors as checkout(), but "ref" may be missing';

CREATE FUNCTION crm_member.checkout(sale jsonb) RETURNS jsonb
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_checkout';

COMMENT ON FUNCTION crm_member.checkout(jsonb) IS
  'Ring up a sale: record it, award its points, answer what was done; all or nothing. The same (source, ref) with the same document returns the first answer. NULL for NULL. Errors: 22023 malformed document, 22003 number out of range, 0A000 for what is not available, RM001 (source, ref) used for another sale, RM101 unknown member, RM102 the member''s status forbids buying, RM104 unknown card, RM105 the card''s state forbids buying';

CREATE FUNCTION crm_member.settle_sale() RETURNS trigger
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_settle_sale';

COMMENT ON FUNCTION crm_member.settle_sale() IS
  'Statement trigger of sale: enters the references of new sales and settles those whose lines are there. Error RM001 for a (source, ref) that is there already';

CREATE FUNCTION crm_member.settle_sale_line() RETURNS trigger
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_settle_sale_line';

COMMENT ON FUNCTION crm_member.settle_sale_line() IS
  'Statement trigger of sale_line: settles the sales whose lines have come. Error RM202 for lines of a settled sale';

CREATE FUNCTION crm_member.settle_sales() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_settle_sales';

COMMENT ON FUNCTION crm_member.settle_sales() IS
  'Settle every sale that has lines and is not settled yet, such as those loaded with triggers off, and return how many; errors as checkout()';
