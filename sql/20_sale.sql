-- Sales: the till's calls, and the triggers behind the bulk path.

CREATE FUNCTION crm_member.quote(sale jsonb) RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_quote';

COMMENT ON FUNCTION crm_member.quote(jsonb) IS
  'What checkout() of this sale document would answer now; writes nothing. NULL for NULL. Errors as checkout(), but "ref" may be missing';

CREATE FUNCTION crm_member.checkout(sale jsonb) RETURNS jsonb
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_checkout';

COMMENT ON FUNCTION crm_member.checkout(jsonb) IS
  'Ring up a sale: record it, award its points, answer what was done; all or nothing. The same (source, ref) with the same document returns the first answer. NULL for NULL. Errors: 22023 malformed document, 22003 number out of range, 0A000 for what is not available, RM001 (source, ref) used for another sale, RM101 unknown member, RM102 the member''s status forbids buying, RM104 unknown card, RM105 the card''s state forbids buying';

CREATE FUNCTION crm_member.settle_sale() RETURNS trigger
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_settle_sale';

COMMENT ON FUNCTION crm_member.settle_sale() IS
  'Statement trigger of sale: enters the references of new sales and settles those whose lines are there. Error RM001 for a (source, ref) that is there already';

CREATE FUNCTION crm_member.settle_sale_line() RETURNS trigger
LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_settle_sale_line';

COMMENT ON FUNCTION crm_member.settle_sale_line() IS
  'Statement trigger of sale_line: settles the sales whose lines have come. Error RM202 for lines of a settled sale';

CREATE FUNCTION crm_member.settle_sales() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_settle_sales';

COMMENT ON FUNCTION crm_member.settle_sales() IS
  'Settle every sale that has lines and is not settled yet, such as those loaded with triggers off, and return how many; errors as checkout()';

CREATE FUNCTION crm_member.sale_document(source text, ref text) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM crm_member.require_setup();
  RETURN (
    SELECT jsonb_strip_nulls(jsonb_build_object(
             'ref', s.ref, 'source', s.source, 'member_id', nullif(s.member_id, 0), 'store', s.store,
             'channel', s.channel, 'sold_at', s.sold_at, 'shipping', s.shipping, 'attrs', s.attrs,
             'actor', s.actor,
             'lines', (SELECT jsonb_agg(jsonb_build_object(
                                'line_no', l.line_no, 'sku', l.sku, 'category', l.category, 'brand', l.brand,
                                'quantity', l.quantity, 'price', l.price, 'discount', l.discount,
                                'min_price', l.min_price, 'tax_rate', l.tax_rate, 'attrs', l.attrs)
                              ORDER BY l.line_no)
                         FROM crm_member.sale_line l
                        WHERE l.member_id = s.member_id AND l.sale_id = s.sale_id)))
      FROM crm_member.sale_ref r
      JOIN crm_member.sale s ON s.member_id = r.member_id AND s.sale_id = r.sale_id
     WHERE r.source = sale_document.source AND r.ref = sale_document.ref);
END
$$;

COMMENT ON FUNCTION crm_member.sale_document(text, text) IS
  'A recorded sale as the document checkout() takes, for quote() and explain_points(); NULL where there is none';
