#pragma once
/*
 * Scrape: the text of /metrics, put together for a request. Inside server/api only.
 */
#include "server/api/tally.h"
#include "server/api/request.h"

struct scrape;
struct scrape *scrape_new(struct api *a);
void scrape_free(struct scrape *s); /* when it is not busy */
/* A count is under way in the store. */
bool scrape_is_busy(const struct scrape *s);

void scrape_answer(struct api_req *r);
/* How r counts; borrowed from it. */
void scrape_labels(const struct api_req *r, struct tally_request *out);
