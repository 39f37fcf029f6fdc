/*
 * attribute.h: what attributes are called and what type they have.
 */
#ifndef CRM_ATTRIBUTE_H
#define CRM_ATTRIBUTE_H

#include "condition/condition.h"

typedef struct AttributeInfo
{
	const char *name;			/* with its subject: "sale.amount" */
	Subject		subject;
	FactType	type;
	const char *description;
} AttributeInfo;

extern const AttributeInfo attribute_table[ATTRIBUTE_COUNT];

extern const char *SubjectName(Subject subject);
extern const char *FactTypeName(FactType type);

/* "amount" of "sale.amount": the column in an SQL expression, the key in a facts document */
extern const char *AttributeColumn(Attribute attribute);

/* By name, in any case; false if there is none. */
extern bool FindAttribute(const char *name, int length, Attribute *attribute);

/* What the writer of an unknown name may have meant; NULL if nothing is near. */
extern const char *NearestAttribute(const char *name, int length);

#endif
