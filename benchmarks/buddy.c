/*
 * A plain buddy allocator that works page by page, as a user of the simulator would write it in C.
 *
 * One 16-byte struct page per 4 KiB frame; a doubly linked free list per order 0..10; splitting and
 * merging as mm/page_alloc.c does in __rmqueue_smallest, expand and __free_one_page (Linux 6.1),
 * with insertion at the head. No zones, migrate types, watermarks, per-CPU lists: each would cost
 * time. Frames are 32-bit, 4 TiB at most.
 */
#include <stdint.h>
#include <stdlib.h>

#define MAX_ORDER 10
#define NOBODY (-1)

struct page {
	uint32_t prev, next;	/* free list of a free chunk's first page */
	int32_t owner;		/* VM that holds the page */
	uint8_t order;		/* of a free chunk */
	uint8_t buddy;		/* first page of a free chunk (PageBuddy) */
};

struct buddy {
	uint32_t nr_pages;
	uint64_t nr_free;
	struct page *pages;	/* nr_pages, then the heads of the free lists */
};

static inline void add(struct buddy *b, uint32_t pfn, unsigned int order)
{
	uint32_t head = b->nr_pages + order, first = b->pages[head].next;

	b->pages[pfn].prev = head;
	b->pages[pfn].next = first;
	b->pages[pfn].order = order;
	b->pages[pfn].buddy = 1;
	b->pages[first].prev = pfn;
	b->pages[head].next = pfn;
}

static inline void del(struct buddy *b, uint32_t pfn)
{
	struct page *page = &b->pages[pfn];

	b->pages[page->prev].next = page->next;
	b->pages[page->next].prev = page->prev;
	page->buddy = 0;
}

/* The caller knows that there is a page. */
static inline uint32_t take_page(struct buddy *b)
{
	unsigned int order = 0;
	uint32_t head = b->nr_pages, pfn;

	while (b->pages[head + order].next == head + order)
		order++;
	pfn = b->pages[head + order].next;
	del(b, pfn);
	while (order--)
		add(b, pfn + (1u << order), order);
	b->nr_free--;
	return pfn;
}

static inline void free_page(struct buddy *b, uint32_t pfn)
{
	unsigned int order = 0;

	b->pages[pfn].owner = NOBODY;
	b->nr_free++;
	for (; order < MAX_ORDER; order++) {
		uint32_t other = pfn ^ (1u << order);

		if (!b->pages[other].buddy || b->pages[other].order != order)
			break;
		del(b, other);
		pfn &= other;
	}
	add(b, pfn, order);
}

/* nr_pages: a multiple of 1024. NULL without memory. */
struct buddy *buddy_new(uint32_t nr_pages)
{
	struct buddy *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	b->nr_pages = nr_pages;
	b->nr_free = nr_pages;
	b->pages = calloc((size_t)nr_pages + MAX_ORDER + 1, sizeof(struct page));
	if (!b->pages) {
		free(b);
		return NULL;
	}
	for (uint32_t order = 0; order <= MAX_ORDER; order++)
		b->pages[nr_pages + order].next = b->pages[nr_pages + order].prev = nr_pages + order;
	for (uint32_t pfn = 0; pfn < nr_pages; pfn++)
		b->pages[pfn].owner = NOBODY;
	for (uint32_t pfn = nr_pages; pfn; pfn -= 1u << MAX_ORDER)
		add(b, pfn - (1u << MAX_ORDER), MAX_ORDER);
	return b;
}

void buddy_delete(struct buddy *b)
{
	free(b->pages);
	free(b);
}

uint64_t buddy_nr_free(const struct buddy *b)
{
	return b->nr_free;
}

int32_t buddy_owner(const struct buddy *b, uint32_t pfn)
{
	return b->pages[pfn].owner;
}

/* A VM faults its memory in, page by page; returns the pages it got. */
uint64_t buddy_start(struct buddy *b, uint32_t *frames, uint64_t n, int32_t owner)
{
	uint64_t i;

	for (i = 0; i < n && b->nr_free; i++) {
		frames[i] = take_page(b);
		b->pages[frames[i]].owner = owner;
	}
	return i;
}

/* A VM ends: its pages are freed one by one in virtual order. */
void buddy_end(struct buddy *b, const uint32_t *frames, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		free_page(b, frames[i]);
}

/* Single pages at places in the table of frames are freed. */
void buddy_free_at(struct buddy *b, const uint32_t *frames, const int64_t *at, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		free_page(b, frames[at[i]]);
}

/* Single pages at places in the table of frames are faulted in; returns the pages got. */
uint64_t buddy_touch_at(struct buddy *b, uint32_t *frames, const int64_t *at,
			const int32_t *owners, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n && b->nr_free; i++) {
		frames[at[i]] = take_page(b);
		b->pages[frames[at[i]]].owner = owners[i];
	}
	return i;
}
