/*
 * document.c: a sale from the document that quote() and checkout() are given,
 * and a refund from that of refund().
 *
 * The tables below are the document's grammar: key, form, place in the struct.
 * A key that is not in them is an error, since a typing mistake must not cost
 * anybody a discount.
 */
#include "crm_member.h"
#include "sale/refund.h"
#include "setting.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define MAX_LINES	  10000
#define MAX_CODES	  50
#define MAX_TEXT	  1000		/* bytes in a text */
#define MAX_QUANTITY  1000000000
#define MAX_MONEY	  INT64CONST(1000000000000)

typedef enum Form
{
	FORM_TEXT,
	FORM_TIMESTAMP,
	FORM_ID,					/* positive integer, int64 */
	FORM_LINE_NO,				/* positive integer, int */
	FORM_MONEY,					/* minor units, int64 */
	FORM_PRICE,					/* Decimal */
	FORM_QUANTITY,				/* Decimal */
	FORM_RATE,					/* Decimal, percent */
	FORM_OBJECT,				/* Jsonb */
	FORM_IDENTITY,
	FORM_LINES,
	FORM_RETURNS,				/* lines of a refund */
	FORM_CODES					/* List of char * */
} Form;

typedef struct Field
{
	const char *key;
	int			length;
	Form		form;
	size_t		offset;
	size_t		flag;			/* offset of a bool that is set when the key is there; 0: none */
} Field;

#define KEY(key) key, sizeof(key) - 1

static const Field sale_fields[] = {
	{KEY("ref"), FORM_TEXT, offsetof(SaleDocument, sale.ref)},
	{KEY("source"), FORM_TEXT, offsetof(SaleDocument, sale.source)},
	{KEY("member_id"), FORM_ID, offsetof(SaleDocument, sale.member_id)},
	{KEY("identity"), FORM_IDENTITY},
	{KEY("store"), FORM_TEXT, offsetof(SaleDocument, sale.store)},
	{KEY("channel"), FORM_TEXT, offsetof(SaleDocument, sale.channel)},
	{KEY("sold_at"), FORM_TIMESTAMP, offsetof(SaleDocument, sale.sold_at),
	 offsetof(SaleDocument, has_sold_at)},
	{KEY("lines"), FORM_LINES},
	{KEY("coupons"), FORM_CODES, offsetof(SaleDocument, sale.codes)},
	{KEY("points"), FORM_QUANTITY, offsetof(SaleDocument, sale.points_asked)},
	{KEY("stored_value"), FORM_MONEY, offsetof(SaleDocument, sale.stored_value_asked)},
	{KEY("shipping"), FORM_MONEY, offsetof(SaleDocument, sale.shipping)},
	{KEY("attrs"), FORM_OBJECT, offsetof(SaleDocument, sale.attrs)},
	{KEY("actor"), FORM_TEXT, offsetof(SaleDocument, sale.actor)},
	{NULL}
};

static const Field line_fields[] = {
	{KEY("line_no"), FORM_LINE_NO, offsetof(SaleLine, line_no)},
	{KEY("sku"), FORM_TEXT, offsetof(SaleLine, sku)},
	{KEY("category"), FORM_TEXT, offsetof(SaleLine, category)},
	{KEY("brand"), FORM_TEXT, offsetof(SaleLine, brand)},
	{KEY("quantity"), FORM_QUANTITY, offsetof(SaleLine, quantity)},
	{KEY("price"), FORM_PRICE, offsetof(SaleLine, price), offsetof(SaleLine, has_price)},
	{KEY("discount"), FORM_MONEY, offsetof(SaleLine, discount)},
	{KEY("min_price"), FORM_PRICE, offsetof(SaleLine, min_price), offsetof(SaleLine, has_min_price)},
	{KEY("tax_rate"), FORM_RATE, offsetof(SaleLine, tax_rate), offsetof(SaleLine, has_tax_rate)},
	{KEY("attrs"), FORM_OBJECT, offsetof(SaleLine, attrs)},
	{NULL}
};

static const Field identity_fields[] = {
	{KEY("kind"), FORM_TEXT, offsetof(SaleDocument, identity_kind)},
	{KEY("value"), FORM_TEXT, offsetof(SaleDocument, identity_value)},
	{NULL}
};

static const Field refund_fields[] = {
	{KEY("ref"), FORM_TEXT, offsetof(RefundDocument, ref)},
	{KEY("source"), FORM_TEXT, offsetof(RefundDocument, source)},
	{KEY("sale_ref"), FORM_TEXT, offsetof(RefundDocument, sale_ref)},
	{KEY("sale_source"), FORM_TEXT, offsetof(RefundDocument, sale_source)},
	{KEY("refunded_at"), FORM_TIMESTAMP, offsetof(RefundDocument, refunded_at),
	 offsetof(RefundDocument, has_refunded_at)},
	{KEY("lines"), FORM_RETURNS, 0, offsetof(RefundDocument, has_lines)},
	{KEY("shipping"), FORM_MONEY, offsetof(RefundDocument, shipping),
	 offsetof(RefundDocument, has_shipping)},
	{KEY("reason"), FORM_TEXT, offsetof(RefundDocument, reason)},
	{KEY("actor"), FORM_TEXT, offsetof(RefundDocument, actor)},
	{NULL}
};

static const Field return_fields[] = {
	{KEY("line_no"), FORM_LINE_NO, offsetof(ReturnedLine, line_no)},
	{KEY("quantity"), FORM_QUANTITY, offsetof(ReturnedLine, quantity),
	 offsetof(ReturnedLine, has_quantity)},
	{NULL}
};

/* What is being read, for messages. */
static const char *document_kind;
static const char *document_function;

/* Where in it: put into words only where something is wrong there. */
typedef struct Place
{
	const char *name;			/* NULL: the document itself */
	int			element;		/* -1: it is no list */
} Place;

static const Place whole = {NULL, -1};
static const Place identity = {"identity", -1};

static void ReadObject(JsonbContainer *object, const Field *fields, const Place *place,
					   void *document, void *target);

static const char *
PlaceText(const Place *place, const char *key, int length)
{
	StringInfoData text;

	initStringInfo(&text);
	if (place->name != NULL)
		appendStringInfoString(&text, place->name);
	if (place->element >= 0)
		appendStringInfo(&text, "[%d]", place->element);
	if (text.len > 0 && length > 0)
		appendStringInfoChar(&text, '.');
	appendBinaryStringInfo(&text, key, length);
	return text.data;
}

static void
Malformed(const Place *place, const char *key, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("malformed %s document", document_kind),
					errdetail("\"%s\" %s.", PlaceText(place, key, strlen(key)), what),
					errhint("Send the %s as the documentation of %s() describes it.", document_kind,
							document_function)));
}

static void
OutOfRange(const Place *place, const char *key, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("number in %s document is out of range", document_kind),
					errdetail("\"%s\" %s.", PlaceText(place, key, strlen(key)), what),
					errhint("Look for a decimal point in the wrong place, or for a missing one.")));
}

static char *
ReadText(const JsonbValue *value, const Place *place, const char *key)
{
	if (value->type != jbvString)
		Malformed(place, key, "must be a string");
	if (value->val.string.len == 0)
		Malformed(place, key, "must not be empty");
	if (value->val.string.len > MAX_TEXT)
		Malformed(place, key, "is too long");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A number from 0 to below limit, with no more decimals than scale. */
static Decimal
ReadDecimal(const JsonbValue *value, int64 limit, int scale, const Place *place, const char *key)
{
	Decimal		decimal;
	Decimal		bound = {limit, 0};
	Decimal		zero = {0, 0};

	if (value->type != jbvNumeric)
		Malformed(place, key, "must be a number");
	if (!QuickDecimal(NumericGetDatum(value->val.numeric), &decimal))
		decimal = NumericToDecimal(value->val.numeric,
								   psprintf("\"%s\"", PlaceText(place, key, strlen(key))));
	if (CompareDecimal(decimal, zero) < 0)
		Malformed(place, key, "must not be negative");
	if (CompareDecimal(decimal, bound) >= 0)
		OutOfRange(place, key, psprintf("must be below " INT64_FORMAT, limit));
	if (decimal.scale > scale)
		OutOfRange(place, key, psprintf("must have at most %d decimals", scale));
	return decimal;
}

/* A moment; where the text names no time zone it is the business's wall clock. */
static TimestampTz
ReadMoment(const JsonbValue *value, const Place *place, const char *key)
{
	char	   *text = ReadText(value, place, key);
	pg_tz	   *session = session_timezone;
	TimestampTz moment = 0;

	session_timezone = GetSetting()->time_zone;
	PG_TRY();
	{
		moment = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
														 ObjectIdGetDatum(InvalidOid),
														 Int32GetDatum(-1)));
	}
	PG_FINALLY();
	{
		session_timezone = session;
	}
	PG_END_TRY();
	if (TIMESTAMP_NOT_FINITE(moment))
		Malformed(place, key, "must be a moment in time");
	return moment;
}

static int64
ReadInteger(const JsonbValue *value, int64 limit, const Place *place, const char *key)
{
	Decimal		decimal = ReadDecimal(value, limit, 0, place, key);

	if (decimal.units == 0)
		Malformed(place, key, "must be positive");
	return decimal.units;
}

static JsonbContainer *
ReadContainer(const JsonbValue *value, bool array, const Place *place, const char *key)
{
	JsonbContainer *container = value->type == jbvBinary ? value->val.binary.data : NULL;

	if (container == NULL ||
		(array ? !JsonContainerIsArray(container) || JsonContainerIsScalar(container)
		 : !JsonContainerIsObject(container)))
		Malformed(place, key, array ? "must be an array" : "must be an object");
	return container;
}

static void
ReadLines(const JsonbValue *value, SaleDocument *document)
{
	JsonbContainer *array = ReadContainer(value, true, &whole, "lines");
	Sale	   *sale = &document->sale;
	int			scale = GetSetting()->money_scale;
	int64		limit = MAX_MONEY;

	for (int i = 0; i < scale; i++)
		limit *= 10;
	sale->nlines = JsonContainerSize(array);
	if (sale->nlines == 0)
		Malformed(&whole, "lines", "must have at least one line");
	if (sale->nlines > MAX_LINES)
		OutOfRange(&whole, "lines", psprintf("must have at most %d lines", MAX_LINES));
	sale->lines = palloc0(sizeof(SaleLine) * sale->nlines);

	for (int i = 0; i < sale->nlines; i++)
	{
		SaleLine   *line = &sale->lines[i];
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		Place		place = {"lines", i};

		line->quantity.units = 1;
		ReadObject(ReadContainer(element, false, &place, ""), line_fields, &place,
				   document, line);
		if (!line->has_price)
			Malformed(&place, "price", "is missing");
		if (line->line_no == 0)
			line->line_no = i + 1;
		for (int j = 0; j < i; j++)
		{
			if (sale->lines[j].line_no == line->line_no)
				Malformed(&place, "line_no", "stands in an earlier line too");
		}
		line->amount = MultiplyDecimal(line->quantity, line->price, scale, ROUNDING_HALF_UP);
		if (line->amount >= limit)
			OutOfRange(&place, "price", "times quantity is too much money");
		if (line->discount > line->amount)
			Malformed(&place, "discount", "is more than the line costs");
		sale->amount = AddMinor(sale->amount, line->amount);
		sale->discount = AddMinor(sale->discount, line->discount);
	}
}

static void
ReadReturns(const JsonbValue *value, RefundDocument *document)
{
	JsonbContainer *array = ReadContainer(value, true, &whole, "lines");

	document->nlines = JsonContainerSize(array);
	if (document->nlines > MAX_LINES)
		OutOfRange(&whole, "lines", psprintf("must have at most %d lines", MAX_LINES));
	document->lines = palloc0(sizeof(ReturnedLine) * document->nlines);
	for (int i = 0; i < document->nlines; i++)
	{
		ReturnedLine *line = &document->lines[i];
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		Place		place = {"lines", i};

		ReadObject(ReadContainer(element, false, &place, ""), return_fields, &place,
				   document, line);
		if (line->line_no == 0)
			Malformed(&place, "line_no", "is missing");
		for (int j = 0; j < i; j++)
		{
			if (document->lines[j].line_no == line->line_no)
				Malformed(&place, "line_no", "stands in an earlier line too");
		}
	}
}

static List *
ReadCodes(const JsonbValue *value)
{
	JsonbContainer *array = ReadContainer(value, true, &whole, "coupons");
	List	   *codes = NIL;
	int			n = JsonContainerSize(array);

	if (n > MAX_CODES)
		OutOfRange(&whole, "coupons", psprintf("must have at most %d codes", MAX_CODES));
	for (int i = 0; i < n; i++)
		codes = lappend(codes, ReadText(getIthJsonbValueFromContainer(array, i),
										&(Place) {"coupons", i}, ""));
	return codes;
}

static void
ReadField(const Field *field, const JsonbValue *value, const Place *place, void *document,
		  void *target)
{
	void	   *into = (char *) target + field->offset;
	const char *key = field->key;

	switch (field->form)
	{
		case FORM_TEXT:
			*(char **) into = ReadText(value, place, key);
			break;
		case FORM_TIMESTAMP:
			*(TimestampTz *) into = ReadMoment(value, place, key);
			break;
		case FORM_ID:
			*(int64 *) into = ReadInteger(value, PG_INT64_MAX / 10, place, key);
			break;
		case FORM_LINE_NO:
			*(int *) into = (int) ReadInteger(value, PG_INT32_MAX, place, key);
			break;
		case FORM_MONEY:
			{
				int			scale = GetSetting()->money_scale;
				Decimal		money = ReadDecimal(value, MAX_MONEY, scale, place, key);

				for (; money.scale < scale; money.scale++)
					money.units *= 10;
				*(int64 *) into = money.units;
				break;
			}
		case FORM_PRICE:
			*(Decimal *) into = ReadDecimal(value, MAX_MONEY, DECIMAL_MAX_SCALE, place, key);
			break;
		case FORM_QUANTITY:
			*(Decimal *) into = ReadDecimal(value, MAX_QUANTITY, QUANTITY_SCALE, place, key);
			break;
		case FORM_RATE:
			*(Decimal *) into = ReadDecimal(value, 1000, QUANTITY_SCALE, place, key);
			break;
		case FORM_OBJECT:
			ReadContainer(value, false, place, key);
			*(Jsonb **) into = JsonbValueToJsonb(unconstify(JsonbValue *, value));
			break;
		case FORM_IDENTITY:
			ReadObject(ReadContainer(value, false, place, key), identity_fields, &identity,
					   document, document);
			if (((SaleDocument *) document)->identity_kind == NULL ||
				((SaleDocument *) document)->identity_value == NULL)
				Malformed(&whole, "identity", "needs \"kind\" and \"value\"");
			break;
		case FORM_LINES:
			ReadLines(value, document);
			break;
		case FORM_RETURNS:
			ReadReturns(value, document);
			break;
		case FORM_CODES:
			*(List **) into = ReadCodes(value);
			break;
	}
	if (field->flag != 0)
		*(bool *) ((char *) target + field->flag) = true;
}

static void
ReadObject(JsonbContainer *object, const Field *fields, const Place *place, void *document,
		   void *target)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		const Field *field = fields;

		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &value, true);
		while (field->key != NULL &&
			   (field->length != key.val.string.len ||
				memcmp(field->key, key.val.string.val, key.val.string.len) != 0))
			field++;
		if (field->key == NULL)
		{
			StringInfoData known;

			initStringInfo(&known);
			for (field = fields; field->key != NULL; field++)
				appendStringInfo(&known, "%s%s", known.len > 0 ? ", " : "", field->key);
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("malformed %s document", document_kind),
							errdetail("Key \"%s\" is unknown.",
									  PlaceText(place, key.val.string.val, key.val.string.len)),
							errhint("Keys are: %s.", known.data)));
		}
		/* null is the same as not there */
		if (value.type != jbvNull)
			ReadField(field, &value, place, document, target);
	}
}

static void
ReadDocument(Jsonb *jsonb, const char *kind, const char *function, const Field *fields, void *document)
{
	document_kind = kind;
	document_function = function;
	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("malformed %s document", kind),
						errdetail("It must be a JSON object."),
						errhint("Send the %s as the documentation of %s() describes it.", kind, function)));
	ReadObject(&jsonb->root, fields, &whole, document, document);
}

SaleDocument *
ReadSaleDocument(Jsonb *jsonb)
{
	SaleDocument *document = palloc0(sizeof(SaleDocument));

	ReadDocument(jsonb, "sale", "checkout", sale_fields, document);
	if (document->sale.nlines == 0)
		Malformed(&whole, "lines", "is missing");
	if (document->identity_kind != NULL && document->sale.member_id != CRM_GUEST)
		Malformed(&whole, "identity", "and \"member_id\" exclude each other");
	if (document->sale.source == NULL)
		document->sale.source = pstrdup("pos");
	if (!document->has_sold_at)
		document->sale.sold_at = GetCurrentTransactionStartTimestamp();
	return document;
}

RefundDocument *
ReadRefundDocument(Jsonb *jsonb)
{
	RefundDocument *document = palloc0(sizeof(RefundDocument));

	ReadDocument(jsonb, "refund", "refund", refund_fields, document);
	if (document->ref == NULL)
		Malformed(&whole, "ref", "is missing");
	if (document->sale_ref == NULL)
		Malformed(&whole, "sale_ref", "is missing");
	if (document->source == NULL)
		document->source = pstrdup("pos");
	if (document->sale_source == NULL)
		document->sale_source = document->source;
	if (!document->has_refunded_at)
		document->refunded_at = GetCurrentTransactionStartTimestamp();
	return document;
}
