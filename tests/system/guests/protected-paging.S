# Paging outside long mode: two levels, 4-MiB pages, PAE (SDM vol. 3A §4.3, §4.4).
.include "protected.inc"

.set PD, PAGE_TABLES
.set PT, PAGE_TABLES+0x1000
.set PDPT, PAGE_TABLES+0x2000
.set PAE_PD, PAGE_TABLES+0x3000
.set PAE_PT, PAGE_TABLES+0x4000
.set PAGE0, 0x40000000
.set FRAME0, 0x100000
.set PAGE_PAE, 0x200000

main:
    # The low 4 MiB by 4-KiB pages, for everybody.
    movl $PT, %edi
    movl $7, %eax
    movl $1024, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $4, %edi
    cmpl $PT+0x1000, %edi
    jb 1b
    movl $PT+7, PD
    movl $PAGE_TABLES+0x5007, PD+0x400
    # PT lies where PDPT does not: 4 KiB, then the PAE tables.
    movl $PD, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax
    movl %eax, %cr0
    TEST "two levels"
    movl $FRAME0+7, PAGE_TABLES+0x5000
    movl $0x12345678, FRAME0
    CHECK PAGE0, $0x12345678
    movl PAGE_TABLES+0x5000, %eax
    andl $0x60, %eax
    CHECK %eax, $0x20
    movl $1, PAGE0+4
    movl PAGE_TABLES+0x5000, %eax
    andl $0x60, %eax
    CHECK %eax, $0x60
    FAULT 14, 0, movl PAGE0+0x1000, %eax
    CHECK fault_cr2, $PAGE0+0x1000
    FAULT 14, 2, movl %eax, PAGE0+0x1000
    # Without NX a fetch is told apart by SMEP only.
    EXPECT_RESUME 1f
    movl $PAGE0+0x1000, %eax
    jmp *%eax
1:  CHECK fault_vector, $14
    CHECK fault_error, $0
    TEST "rights"
    movl $FRAME0+5, PAGE_TABLES+0x5000
    invlpg PAGE0
    FAULT 14, 3, movl %eax, PAGE0
    USER_FAULT 14, 7, user_write, user_write
    movl $FRAME0+3, PAGE_TABLES+0x5000
    invlpg PAGE0
    USER_FAULT 14, 5, user_read, user_read
    movl $FRAME0+7, PAGE_TABLES+0x5000
    movl $PAGE_TABLES+0x5003, PD+0x400
    movl %cr3, %eax
    movl %eax, %cr3
    USER_FAULT 14, 5, user_read, user_read
    movl $PAGE_TABLES+0x5007, PD+0x400
    movl %cr3, %eax
    movl %eax, %cr3
    TEST "4-MiB pages"
    movl $0x400087, PD+0x404
    # PS is ignored without CR4.PSE: a table at 4 MiB, full of zeros.
    FAULT 14, 0, movl PAGE0+0x400000, %eax
    movl %cr4, %eax
    orl $0x10, %eax
    movl %eax, %cr4
    movl $0x77, PAGE0+0x400010
    movl PD+0x404, %eax
    andl $0x60, %eax
    CHECK %eax, $0x60
    TEST "the 36-bit extension of 4-MiB pages"
    movl $0x402087, PD+0x404
    movl %cr3, %eax
    movl %eax, %cr3
    # Bit 13 is address bit 32, where no memory is: reads as nothing, but is no fault.
    PASS movl PAGE0+0x400010, %eax
    movl $0x600087, PD+0x404
    movl %cr3, %eax
    movl %eax, %cr3
    FAULT 14, 9, movl PAGE0+0x400010, %eax
    movl $0, PD+0x404
    movl %cr3, %eax
    movl %eax, %cr3
    TEST "PAE"
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $PDPT, %edi
    movl $0x1800, %ecx
    xorl %eax, %eax
    rep stosl
    movl $PAE_PD+1, PDPT
    movl $0x87, PAE_PD
    movl $PAE_PT+7, PAE_PD+8
    movl $FRAME0+7, PAE_PT
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $PDPT, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    CHECK PAGE_PAE, $0x12345678
    movl PAE_PD, %eax
    andl $0x20, %eax
    CHECK %eax, $0x20
    FAULT 14, 0, movl PAGE_PAE+0x1000, %eax
    FAULT 14, 0, movl 0x40000000, %eax
    TEST "PAE's reserved bits"
    movl $0x80000, PAE_PT+4
    invlpg PAGE_PAE
    FAULT 14, 9, movl PAGE_PAE, %eax
    movl $0x80000000, PAE_PT+4
    invlpg PAGE_PAE
    FAULT 14, 9, movl PAGE_PAE, %eax
    TEST "PAE with NX"
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x800, %eax
    wrmsr
    movb $0xc3, FRAME0
    PASS movb PAGE_PAE, %al
    movl $PAGE_PAE, %ebx
    EXPECT_RESUME 1f
    call *%ebx
1:  CHECK fault_vector, $14
    CHECK fault_error, $0x11
    CHECK fault_rip, $PAGE_PAE
    movl $0, PAE_PT+4
    invlpg PAGE_PAE
    PASS call *%ebx
    TEST "task switches load CR3"
    # The second task's tables are the first's copy with another frame.
    movl $PDPT, %esi
    movl $0x30000, %edi
    movl $0xc00, %ecx
    rep movsl
    movl $0x31001, 0x30000
    movl $0x32007, 0x31008
    movl $FRAME0+0x1007, 0x32000
    movl $0x2222, FRAME0+0x1000
    movl $0x1111, FRAME0
    invlpg PAGE_PAE
    movl $0x30000, TSS2_AREA+0x1c
    movl $PDPT, TSS_AREA+0x1c
    movl $task, TSS2_AREA+0x20
    movl $2, TSS2_AREA+0x24
    movl $INNER_STACK_TOP, TSS2_AREA+0x38
    movl $DATA, TSS2_AREA+0x48
    movl $CODE, TSS2_AREA+0x4c
    movl $DATA, TSS2_AREA+0x50
    movl $DATA, TSS2_AREA+0x54
    CHECK PAGE_PAE, $0x1111
    lcall $TSS2, $0
    CHECK note+8, $0x2222
    CHECK PAGE_PAE, $0x1111
    THE_END

task:
    movl PAGE_PAE, %eax
    movl %eax, note+8
    iretl
user_read:
    movl PAGE0, %eax
    int $0x40
user_write:
    movl %eax, PAGE0
    int $0x40
