/* A folder -> every file in it opened, its head read, and closed: the lower bound of any scanner.

   limit THREADS BYTES FOLDER SUFFIX...     prints the number of files. */

#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char **paths;
static size_t count, room;
static char **suffixes;
static size_t head_bytes;

struct part {
    size_t from, to;
};

static int wanted(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (char **suffix = suffixes; dot && *suffix; suffix++)
        if (!strcmp(dot, *suffix))
            return 1;
    return 0;
}

static void walk(const char *folder)
{
    DIR *listing = opendir(folder);
    if (!listing)
        err(1, "%s", folder);
    for (struct dirent *entry; (entry = readdir(listing));) {
        char *path;
        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type != DT_DIR && !wanted(entry->d_name))
            continue;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            err(1, "asprintf");
        if (entry->d_type == DT_DIR) {
            walk(path);
            free(path);
            continue;
        }
        if (count == room && !(paths = realloc(paths, (room = room * 2 + 1024) * sizeof *paths)))
            err(1, "realloc");
        paths[count++] = path;
    }
    closedir(listing);
}

static void *read_heads(void *argument)
{
    struct part *part = argument;
    char *head = malloc(head_bytes);
    for (size_t number = part->from; number < part->to; number++) {
        int file = open(paths[number], O_RDONLY | O_CLOEXEC);
        if (file < 0 || read(file, head, head_bytes) < 0)
            err(1, "%s", paths[number]);
        close(file);
    }
    free(head);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        errx(2, "limit THREADS BYTES FOLDER SUFFIX...");
    size_t threads = strtoul(argv[1], NULL, 10);
    head_bytes = strtoul(argv[2], NULL, 10);
    suffixes = argv + 4;
    walk(argv[3]);
    pthread_t ids[threads];
    struct part parts[threads];
    for (size_t number = 0; number < threads; number++) {
        parts[number] = (struct part){count * number / threads, count * (number + 1) / threads};
        if (pthread_create(&ids[number], NULL, read_heads, &parts[number]))
            errx(1, "pthread_create");
    }
    for (size_t number = 0; number < threads; number++)
        pthread_join(ids[number], NULL);
    printf("%zu\n", count);
    return 0;
}
