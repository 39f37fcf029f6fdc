/*
 * tender.h: what a sale is paid with other than money.
 */
#ifndef CRM_TENDER_H
#define CRM_TENDER_H

#include "sale/sale.h"

/*
 * Work out what the points and the stored value asked for pay, of each line too;
 * before the sale is evaluated, since what points pay earns nothing.  Refuses
 * what cannot be paid like that.  The sale has its buyer, lines and discounts.
 */
extern void PlanTender(Sale *sale);
/* Is it there?  For quote(), which spends nothing. */
extern void CheckTender(const Sale *sale);
/* Spend it; before what the sale earns (List of Award) is posted. */
extern void PostTender(Sale *sale, List *awards);
/* What a recorded sale was paid with. */
extern void LoadTender(Sale *sale);

#endif
