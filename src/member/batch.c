/*
 * batch.c: columns of a batch of registrations, as arrays for SQL.
 */
#include "crm_member.h"
#include "member/batch.h"
#include "query.h"

#include "utils/builtins.h"

bool
ChooseRows(Columns *columns, Batch *batch, RowTest test)
{
	columns->batch = batch;
	columns->chosen = palloc(batch->nrows * sizeof(int));
	columns->n = 0;
	for (int i = 0; i < batch->nrows; i++)
	{
		if (test(batch->rows[i]))
			columns->chosen[columns->n++] = i;
	}
	return columns->n > 0;
}

Datum
ColumnArray(Columns *columns, RowValue get, int what, Oid type)
{
	Datum	   *values = palloc(columns->n * sizeof(Datum));
	bool	   *nulls = palloc(columns->n * sizeof(bool));

	for (int i = 0; i < columns->n; i++)
		values[i] = get(columns->batch, columns->chosen[i], what, &nulls[i]);
	return ArrayOf(values, nulls, columns->n, type);
}

Datum
TextValue(Batch *batch, int row, int what, bool *isnull)
{
	char	   *text = batch->rows[row]->text[what];

	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

Datum
IdValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return Int64GetDatum(batch->ids[row]);
}

Datum
FingerprintValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return Int64GetDatum(batch->rows[row]->fingerprint);
}

Datum
JoinedValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = false;
	return TimestampTzGetDatum(batch->rows[row]->joined_at);
}

Datum
FoundValue(Batch *batch, int row, int what, bool *isnull)
{
	Registration *found = batch->rows[row];

	*isnull = false;
	return Int64GetDatum(found->outcome == OUTCOME_EXISTING ? found->member_id : 0);
}

bool
HasCard(Registration *row)
{
	return row->outcome == OUTCOME_OPEN && row->text[FIELD_CARD_NO] != NULL;
}

Datum
BirthdayValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = !batch->rows[row]->has_birthday;
	return DateADTGetDatum(batch->rows[row]->birthday);
}

Datum
AttrsValue(Batch *batch, int row, int what, bool *isnull)
{
	*isnull = batch->rows[row]->attrs == NULL;
	return *isnull ? (Datum) 0 : JsonbPGetDatum(batch->rows[row]->attrs);
}
