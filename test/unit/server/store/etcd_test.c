/* The suite of all backends on a real etcd. */
#include "test/unit/server/store/etcd_fix.h"

int main(void)
{
    return etcd_fix_can_run() ? suite_run(&etcd_backend) : 0;
}
